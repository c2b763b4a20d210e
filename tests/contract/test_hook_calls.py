"""Every hook of the library, called rightly and wrongly: its context is checked, believed, no hindrance."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import operator
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.cds_library import HOOKS
from tests import fakes
from tests.contract import wire
from tests.contract.hook_calls import BEYOND_IDS, OPTIONAL, REQUIRED, TASK, call, listening
from tests.contract.odd_hook_calls import ODD_CALLS
from tests.contract.odd_requests import OTHER, other, wrapped
from tests.service.harness import Wrapper, copy_hooks, wrapper

NAMES = sorted(REQUIRED)
PAIRS = [(hook, member) for hook in NAMES for member in REQUIRED[hook]]


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one call: its answer, its row and the line the operator got."""

    status: int
    sentence: str | None
    rows: tuple[dict[str, Any], ...]
    line: dict[str, Any]
    asked: tuple[dict[str, Any], ...]


@asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[tuple[Wrapper, fakes.FakeVendor]]:
    """One service that answers every hook of the library, and a hook of the site's own."""
    hooks = listening((*NAMES, "org.example.ward-round"), BEYOND_IDS)
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(folder, copy_hooks(folder, vendor.url, **hooks)) as running:
            yield running, vendor


async def became_of(running: Wrapper, vendor: fakes.FakeVendor, body: Any, before: int) -> Became:
    """Make one call; `before` is how many were answered before it."""
    told, asked = running.log.tell(), len(vendor.bodies)
    answer = await running.call(body)
    document = answer.json()
    events = [json.loads(line) for line in running.log.getvalue()[told:].splitlines()]
    return Became(
        answer.status_code,
        None if answer.status_code == 200 else document["issue"][0]["diagnostics"],
        tuple(running.rows(f"(SELECT * FROM predictions_v1 WHERE sequence > {before})")),
        next((event for event in events if event["event"] == "invocation_completed"), {}),
        tuple(json.loads(one) for one in vendor.bodies[asked:]),
    )


async def call_all(folder: Path, bodies: Mapping[str, Any]) -> dict[str, Became]:
    async with everything(folder) as (running, vendor):
        became: dict[str, Became] = {}
        for name, body in bodies.items():
            before = sum(len(one.rows) for one in became.values())
            became[name] = await became_of(running, vendor, body, before)
        return became


def lacking(hook: str, member: str) -> str:
    return f"{hook} without {member}"


@pytest.fixture(scope="module")
def became(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Became]:
    """Each hook called rightly, with least, and without each of its required members in turn."""
    bodies = {hook: call(hook) for hook in NAMES}
    bodies |= {
        f"{hook} with least": call(hook, **dict.fromkeys(OPTIONAL[hook].keys() - REQUIRED[hook].keys(), ...))
        for hook in NAMES
    }
    bodies |= {lacking(hook, member): call(hook, **{member: ...}) for hook, member in PAIRS}
    bodies |= {f"null {lacking(hook, member)}": call(hook, **{member: None}) for hook, member in PAIRS}
    bodies |= {f"odd {lacking(hook, member)}": call(hook, **{member: [[5]]}) for hook, member in PAIRS}
    return asyncio.run(call_all(tmp_path_factory.mktemp("hooks"), bodies))


def test_the_thirteen_hooks_of_the_library_are_known() -> None:
    assert sorted(HOOKS) == NAMES and len(NAMES) == 13
    assert {name: {*hook.required} - {"patientId"} for name, hook in HOOKS.items()} == {
        name: set(members) for name, members in REQUIRED.items()
    }
    assert all("patientId" in hook.required for hook in HOOKS.values())


@pytest.mark.parametrize("hook", NAMES)
def test_our_own_schema_of_a_call_knows_what_each_hook_requires(hook: str) -> None:
    assert wire.misfits("request", call(hook)) == []
    for member in ("patientId", *REQUIRED[hook]):
        assert wire.misfits("request", call(hook, **{member: ...})) == ["$.context: required"]


@pytest.mark.parametrize("hook", NAMES)
@pytest.mark.parametrize("least", ["", " with least"])
def test_a_right_call_of_any_hook_is_answered_and_nothing_about_it_is_odd(
    hook: str, least: str, became: dict[str, Became]
) -> None:
    one = became[hook + least]
    (row,) = one.rows
    assert (one.status, row["hook"], row["status"], row["race"]) == (200, hook, "answered", "white")
    assert (one.line["hook"], one.asked[0]["hook"]) == (hook, hook)
    assert "context_missing" not in one.line and "context_invalid" not in one.line


@pytest.mark.parametrize(("hook", "member"), PAIRS)
@pytest.mark.parametrize("null", ["", "null "])
def test_a_member_that_a_hook_requires_and_we_do_not_need_may_be_missing_and_is_named_to_the_operator(
    null: str, hook: str, member: str, became: dict[str, Became]
) -> None:
    one = became[null + lacking(hook, member)]
    assert (one.status, len(one.rows), one.rows[0]["race"]) == (200, 1, "white")
    assert one.line["context_missing"] == [member] and "context_invalid" not in one.line
    assert_not_asked(one)


@pytest.mark.parametrize(("hook", "member"), PAIRS)
def test_a_member_of_another_shape_is_named_to_the_operator_and_the_call_goes_on(
    hook: str, member: str, became: dict[str, Became]
) -> None:
    one = became[f"odd {lacking(hook, member)}"]
    assert (one.status, len(one.rows), one.rows[0]["race"]) == (200, 1, "white")
    assert one.line["context_invalid"] == [member] and "context_missing" not in one.line
    assert_not_asked(one)


def assert_not_asked(one: Became) -> None:
    """No right call can be made for the vendor of one that lacks what its hook requires."""
    assert (one.asked, one.rows[0]["status"]) == ((), "missing_input")
    assert one.rows[0]["reason"] == "context_incomplete"


@pytest.mark.parametrize("hook", [*NAMES, "org.example.ward-round"])
async def test_no_hook_is_answered_without_a_patient(hook: str, tmp_path: Path) -> None:
    body = {**call("patient-view", patientId=...), "hook": hook}
    became = await call_all(tmp_path, {"it": body})
    assert (became["it"].status, became["it"].rows, became["it"].asked) == (400, (), ())
    assert "context.patientId" in str(became["it"].sentence)


async def test_a_hook_of_the_sites_own_is_believed(tmp_path: Path) -> None:
    body = {**call("patient-view", userId=..., wards=[1]), "hook": "org.example.ward-round"}
    one = (await call_all(tmp_path, {"it": body}))["it"]
    assert (one.status, one.rows[0]["hook"]) == (200, "org.example.ward-round")
    assert "context_missing" not in one.line and "context_invalid" not in one.line


async def test_the_names_that_order_dispatch_had_before_are_taken_for_those_of_today(tmp_path: Path) -> None:
    old = call(
        "order-dispatch", dispatchedOrders=..., fulfillmentTasks=..., order="ServiceRequest/1", task=TASK
    )
    odd = call("order-dispatch", dispatchedOrders=..., order={"reference": "ServiceRequest/1"})
    became = await call_all(tmp_path, {"old": old, "odd": odd})
    assert became["old"].status == 200
    assert "context_missing" not in became["old"].line and "context_invalid" not in became["old"].line
    assert became["odd"].line["context_invalid"] == ["dispatchedOrders"]


# What public clients send -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Became]:
    bodies = {name: one.body for name, one in ODD_CALLS.items()}
    return asyncio.run(call_all(tmp_path_factory.mktemp("odd"), bodies))


@pytest.mark.parametrize("name", [name for name, one in ODD_CALLS.items() if one.member is None])
def test_an_odd_call_is_answered_under_this_patients_own_details(name: str, odd: dict[str, Became]) -> None:
    became, wanted = odd[name], ODD_CALLS[name]
    lacking = {*wanted.missing, *wanted.invalid} & {*HOOKS[wanted.body["hook"]].required}
    if lacking:
        assert_not_asked(became)
    assert (became.status, len(became.rows)) == (200, 1)
    assert became.rows[0]["status"] == ("missing_input" if lacking else "answered")
    assert (became.rows[0]["race"] == "white") is wanted.known
    assert became.line.get("context_missing", []) == list(wanted.missing)
    assert became.line.get("context_invalid", []) == list(wanted.invalid)


@pytest.mark.parametrize("name", [name for name, one in ODD_CALLS.items() if one.member is not None])
def test_an_odd_call_that_cannot_be_answered_is_refused_naming_the_member(
    name: str, odd: dict[str, Became]
) -> None:
    assert (odd[name].status, odd[name].rows, odd[name].asked) == (400, (), ())
    assert str(ODD_CALLS[name].member) in str(odd[name].sentence)


def test_no_odd_call_brings_another_patients_details(odd: dict[str, Became]) -> None:
    assert_nobody_else(odd.values())


def assert_nobody_else(all_of: Iterable[Became], name: str = OTHER) -> None:
    """Nothing of the other patient is in a record, nor in a value that goes to the vendor."""
    for one in all_of:
        assert name not in json.dumps(one.rows)
        assert {row["race"].partition(":")[0] for row in one.rows} <= {"white", "missing"}
        assert name not in json.dumps([asked.get("prefetch") for asked in one.asked])


# What nobody has sent yet -----------------------------------------------------------------------------------

MARK = "Quetzalcoatl"
SOMEBODY = {**other(), "name": [{"text": MARK}]}
WHATEVER: tuple[Any, ...] = (
    None,
    "",
    " ",
    "x",
    f"Patient/{OTHER}",
    0,
    -1.5,
    True,
    [],
    {},
    [None],
    SOMEBODY,
    [SOMEBODY],
    wrapped(SOMEBODY, status="200"),
    {"reference": f"Patient/{OTHER}"},
    [[[]]],
    {"": {"": []}},
)


def places(value: Any, path: tuple[str | int, ...] = (), depth: int = 5) -> Iterator[tuple[str | int, ...]]:
    """The path of every member and item, down to a depth."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inside if depth else ():
        yield (*path, name)
        yield from places(member, (*path, name), depth - 1)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A right call of some hook with one to three of its members dropped, replaced, nested or renamed."""
    body: Any = call(draw(st.sampled_from(NAMES)))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(body))
        if found:
            *above, last = draw(st.sampled_from(found))
            how = draw(st.sampled_from(["drop", "replace", "nest", "list", "rename"]))
            change(
                functools.reduce(operator.getitem, above, body), last, how, draw(st.sampled_from(WHATEVER))
            )
    return body


def change(parent: Any, last: Any, how: str, instead: Any) -> None:
    """Change one member or item of an object or a list where it stands."""
    was = parent.pop(last)
    becomes = {"replace": copy.deepcopy(instead), "nest": {str(last): was}, "list": [was], "rename": was}
    if isinstance(parent, list):
        parent[last:last] = [] if how == "drop" else [becomes[how]]
    elif how != "drop":
        parent[f"{last}s" if how == "rename" else last] = becomes[how]


NAMES_A_MEMBER = re.compile(r"`?(hook|hookInstance|context|context\.patientId|\$\.\w+)\b")


@pytest.fixture(scope="module")
def one_call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], Became]]:
    """Makes calls, one after the other, to an application that stays open."""
    answered = 0
    with asyncio.Runner() as runner:
        station = everything(tmp_path_factory.mktemp("mutated"))
        running, vendor = runner.run(station.__aenter__())

        def make(body: Any) -> Became:
            nonlocal answered
            became = runner.run(became_of(running, vendor, body, answered))
            answered += len(became.rows)
            return became

        yield make
        runner.run(station.__aexit__(None, None, None))


@settings(max_examples=300)
@given(body=mutated())
def test_whatever_becomes_of_a_right_call_it_is_answered_or_refused_by_name_and_tells_of_nobody_else(
    one_call: Callable[[Any], Became], body: Any
) -> None:
    became = one_call(body)
    assert became.status in {200, 400}
    assert became.status == 200 or NAMES_A_MEMBER.search(str(became.sentence)), became.sentence
    assert len(became.rows) == (1 if became.status == 200 else 0)
    assert_nobody_else([became], MARK)

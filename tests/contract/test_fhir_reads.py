"""What the EHR did not send, read from its FHIR server: the whole wrapper, from the call to the record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_wrapper.demo.fhir_search import Problem
from cds_wrapper.demo.population import FIXTURE_DAY, populate
from cds_wrapper.demo.store import Store
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.outbound import CONNECTIONS
from cds_wrapper.services import load_services
from cds_wrapper.services.clients_file import read_clients
from cds_wrapper.settings import Profile
from tests import fakes
from tests.ehr import EHR, ISSUER, NORTH, bearer, key_of, write_clients
from tests.fhir import TOKEN, Answering, Asked, FHIRServer, Says, authorization, fhir_server, searchset
from tests.service.harness import NOON, ROOT, Wrapper, copy_hooks, request_of, wrapper
from tests.service.servers import demo_vendor

STORE = Store(populate(FIXTURE_DAY).resources)
PUBLIC = "https://cds.example.org"
HERE = f"{PUBLIC}/cds-services/cvd-risk"
KEYS = {"patient", "lipids", "blood_pressure", "kidney", "bmi", "smoking", "conditions", "medications"}


def answering(asked: Asked) -> Says:
    """The demonstration's patients, for whoever shows the token."""
    if asked.headers.get("authorization") not in (f"Bearer {TOKEN}", "Bearer ours"):
        return Says({"resourceType": "OperationOutcome", "issue": []}, 401)
    found = STORE.answer(asked.target.removeprefix("/fhir/"), "http://127.0.0.1/fhir")
    return (
        Says({"resourceType": "OperationOutcome"}, found.status)
        if isinstance(found, Problem)
        else Says(found)
    )


def hooks_of(folder: Path, vendor_url: str, budget: str = "PT10S") -> Path:
    """The shipped service with time enough for a busy machine."""
    times = {
        "time_budget: PT0.5S": f"time_budget: {budget}",
        "ledger_reserve: PT0.1S": "ledger_reserve: PT1S",
    }
    return copy_hooks(folder, vendor_url, **times)


def always(says: Says) -> Answering:
    return lambda _: says


def without_prefetch(case: str, server: str, **token: Any) -> dict[str, Any]:
    body = request_of(case)
    del body["prefetch"]
    return body | {"fhirServer": server, "fhirAuthorization": authorization(**token)}


def of_the_reading(running: Wrapper) -> list[dict[str, Any]]:
    names = ("host_refused", "fhir_not_read", "fhir_read_failed", "fhir_server_not_named")
    return [event for event in running.events() if event["event"] in names]


def inputs_of(row: dict[str, Any]) -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = json.loads(row["inputs"])
    read.pop("features", None)
    return read


# Both hats: prefetch and the FHIR server --------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with demo_vendor() as base:
        yield f"{base}/cds-services/prevent"


SAME = (
    "race",
    "ethnicity",
    "age_band",
    "sex",
    "subgroups",
    "demographics",
    "patient_key",
    "patient_fhir_key",
)
DECIDED = (
    "status",
    "score",
    "inputs_used",
    "inputs_missing",
    "caveat_level",
    "caveat_reasons",
    "disposition",
)


@pytest.mark.parametrize("case", ["black-35", "declined-35", "no-hdl", "hispanic-45", "no-race-52"])
async def test_the_same_card_and_the_same_groups_come_of_prefetch_and_of_the_fhir_server(
    case: str, model: str, tmp_path: Path
) -> None:
    async with fhir_server(answering) as server:
        async with wrapper(tmp_path, hooks_of(tmp_path, model), **reading(server)) as running:
            sent = (await running.call(request_of(case))).json()["cards"]
            read = (await running.call(without_prefetch(case, server.base))).json()["cards"]
            by_prefetch, by_reading = running.rows()
    shown = ("summary", "detail", "indicator", "source")
    assert [[card[name] for name in shown] for card in sent] == [
        [card[name] for name in shown] for card in read
    ]
    assert [by_prefetch[name] for name in SAME + DECIDED] == [by_reading[name] for name in SAME + DECIDED]
    assert len(server.asked) == 8
    states = [{key: one["state"] for key, one in inputs_of(row).items()} for row in (by_prefetch, by_reading)]
    assert states[0] == states[1] and set(states[0]) == KEYS
    assert {one["source"] for one in inputs_of(by_reading).values()} == {"fhir"}
    assert {one["source"] for one in inputs_of(by_prefetch).values()} == {"prefetch"}
    assert by_prefetch["fhir_ms"] == 0 < by_reading["fhir_ms"] < by_reading["total_ms"]


def reading(server: FHIRServer) -> dict[str, Any]:
    return {"development_fhir": server.base}


async def test_the_vendor_gets_what_was_read_byte_for_byte_and_never_the_token(tmp_path: Path) -> None:
    raw = (
        b'{"resourceType":"Bundle",  "type":"searchset", "z":1.10,"big":12345678901234567890, "u":"\\u00e9"}'
    )
    patient = {"resourceType": "Patient", "id": "white-55"}

    def answers(asked: Asked) -> Says:
        return Says(raw) if "?" in asked.target else Says(patient)

    async with fhir_server(answers) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(without_prefetch("white-55", server.base))
    assert b'"lipids":' + raw in vendor.bodies[0]
    assert set(vendor.asked[0]) == {"hook", "hookInstance", "context", "prefetch"}
    assert TOKEN not in str(vendor.heads) + str(vendor.bodies)


async def test_nothing_is_asked_when_everything_came_or_was_looked_for(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"]["lipids"] = None
    async with fhir_server(answering) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(body | {"fhirServer": server.base, "fhirAuthorization": authorization()})
            (row,) = running.rows()
    assert server.asked == [] and row["fhir_ms"] == 0 and inputs_of(row)["lipids"]["state"] == "empty"


async def test_only_what_is_missing_is_read(tmp_path: Path) -> None:
    body = request_of("white-55")
    del body["prefetch"]["patient"]
    async with fhir_server(answering) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(body | {"fhirServer": server.base, "fhirAuthorization": authorization()})
            (row,) = running.rows()
    assert server.targets == ["/fhir/Patient/white-55"] and row["race"] == "white"
    assert (inputs_of(row)["patient"]["source"], inputs_of(row)["lipids"]["source"]) == ("fhir", "prefetch")


async def test_anothers_patient_is_nobodys_also_when_the_server_gives_it(tmp_path: Path) -> None:
    def mixed_up(asked: Asked) -> Says:
        return Says(STORE.answer("Patient/black-35", "")) if "Patient/" in asked.target else answering(asked)

    async with fhir_server(mixed_up) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(without_prefetch("white-55", server.base))
            (row,) = running.rows()
            told = [event["event"] for event in running.events()]
    assert "patient" not in vendor.asked[0]["prefetch"] and "black" not in row["demographics"]
    assert inputs_of(row)["patient"]["state"] == "other_patient" and "patient_mismatch" in told


# Whom a caller cannot make us call --------------------------------------------------------------------------

ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest",
    "http://10.0.0.1/fhir",
    "http://192.168.0.1/fhir",
    "http://172.16.0.1/fhir",
    "http://127.0.0.1:{other}/fhir",
    "http://localhost:{port}/fhir",
    "http://127.1:{port}/fhir",
    "http://2130706433:{port}/fhir",
    "http://127.0.0.1:{port}@127.0.0.1:{other}/fhir",
    "http://127.0.0.1:{port}\\@127.0.0.1:{other}/fhir",
    "http://127.0.0.1:{other}#@127.0.0.1:{port}/fhir",
    "http://user:password@127.0.0.1:{port}/fhir",
    "https://127.0.0.1:{port}/fhir",
    "ftp://127.0.0.1:{port}/fhir",
    "file:///etc/passwd",
    "//127.0.0.1:{port}/fhir",
    "http://127.0.0.1.:{port}/fhir",
    "http://\uff11\uff12\uff17.0.0.1:{port}/fhir",
    "http://127.0.0.1:{port}/fhir/../admin",
    "http://127.0.0.1:{port}/FHIR",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/fhir?x=",
    "http://127.0.0.1:{port}/fhir#x",
]


async def test_no_server_that_is_not_listed_is_called_whatever_it_looks_like(tmp_path: Path) -> None:
    async with (
        fhir_server(answering) as server,
        fhir_server(answering) as other,
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
    ):
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            for text in ELSEWHERE:
                address = text.format(port=server.port, other=other.port)
                await running.call(without_prefetch("white-55", address))
            rows, told = running.rows(), of_the_reading(running)
    assert (server.asked, other.asked, len(rows)) == ([], [], len(ELSEWHERE))
    assert {(event["event"], event["level"]) for event in told} == {("host_refused", "error")}
    assert len(told) == len(ELSEWHERE)
    refused = {"state": "absent", "why": "host_refused"}
    assert all(inputs_of(row) == dict.fromkeys(KEYS, refused) for row in rows)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int, tmp_path: Path) -> None:
    async with (
        fhir_server(answering) as other,
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
        fhir_server(Says(b"", status, {"location": f"{other.base}/Patient/white-55"})) as server,
    ):
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(without_prefetch("white-55", server.base))
            (row,) = running.rows()
    assert other.asked == [] and len(server.asked) == 8
    assert inputs_of(row)["patient"] == {
        "state": "error",
        "source": "fhir",
        "read_at": row["occurred_at"],
        "why": f"http_{status}",
    }


async def test_no_further_page_is_fetched_elsewhere(tmp_path: Path) -> None:
    async with (
        fhir_server(answering) as other,
        fhir_server(answering) as server,
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
    ):
        body = request_of("white-55") | {"fhirServer": server.base, "fhirAuthorization": authorization()}
        page = searchset(following=f"{other.base}?page=2")
        body["prefetch"]["conditions"] = page
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(body)
            (row,) = running.rows()
    assert (server.asked, other.asked) == ([], []) and vendor.asked[0]["prefetch"]["conditions"] == page
    assert inputs_of(row)["conditions"]["state"] == "truncated"
    assert inputs_of(row)["conditions"]["why"] == "next_refused"


# The token --------------------------------------------------------------------------------------------------


async def test_the_token_is_nowhere_but_in_the_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    echo = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": TOKEN}]}
    bad = [Says(b"", 401), Says(TOKEN.encode(), 500), Says(echo), Says(b"", 302, {"location": f"/{TOKEN}"})]
    async with fhir_server(answering) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            body = without_prefetch("white-55", server.base)
            answers = [await running.call(body)]
            answers += [await running.call({**body, "fhirServer": f"http://127.0.0.1:9/{TOKEN}"})]
            answers += [await running.call({**body, "fhirServer": None})]
            answers += [await running.call(without_prefetch("white-55", server.base, token=f"{TOKEN} x"))]
            answers += [await running.call(json.dumps(body)[:-5].encode())]
            for says in bad:
                server.answering = always(says)
                answers.append(await running.call(body))
            rows = str(running.rows())
    files = b"".join(file.read_bytes() for file in tmp_path.glob("**/*") if file.is_file()).decode("latin-1")
    told = [*(answer.text for answer in answers), rows, files, running.log.getvalue(), caplog.text]
    assert "white-55" not in caplog.text + running.log.getvalue()
    passed_on = [*vendor.heads, *map(bytes.decode, vendor.bodies)]
    sent = {asked.headers.get("authorization") for asked in server.asked}
    assert sent == {f"Bearer {TOKEN}"} and [one.status_code for one in answers].count(200) == 8
    assert not [text for text in [*told, *passed_on, *capfd.readouterr()] if TOKEN in text]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fhirAuthorization": authorization(expires_in=0)}, "token_expires"),
        ({"fhirAuthorization": None}, "no_token"),
        ({"fhirServer": None}, "no_server"),
    ],
)
async def test_without_a_usable_token_nothing_is_read_and_it_is_said(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    async with fhir_server(answering) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url), **reading(server)) as running:
            await running.call(without_prefetch("white-55", server.base) | changes)
            (row,) = running.rows()
            told = of_the_reading(running)
    assert server.asked == [] and inputs_of(row)["patient"] == {"state": "absent", "why": reason}
    assert told[-1]["event"] == "fhir_not_read" and told[-1]["reason"] == reason
    assert set(told[-1]["prefetch_keys"]) == KEYS
    assert [event["event"] for event in told[:-1]] == ["fhir_server_not_named"] * (reason == "no_server")


# Time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", [Says({}, after=60), Says({}, every=60)], ids=["silent", "dripping"])
async def test_a_fhir_server_that_hangs_leaves_the_vendor_its_time(says: Says, tmp_path: Path) -> None:
    """Reading may take half of the time; the other half is the vendor's."""
    async with fhir_server(says) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url, "PT3S"), **reading(server)) as running:
            answer = await running.call(without_prefetch("white-55", server.base))
            (row,) = running.rows()
            (told,) = of_the_reading(running)
    assert len(answer.json()["cards"]) == 1 and row["status"] == "answered"
    assert "could not be checked" in answer.json()["cards"][0]["detail"]
    late = {"state": "error", "source": "fhir", "why": "timed_out"}
    assert inputs_of(row) == dict.fromkeys(KEYS, late)
    assert told["troubles"] == dict.fromkeys(KEYS, "timed_out")
    assert 0 < row["fhir_ms"] < row["total_ms"]


# With clients.yaml ------------------------------------------------------------------------------------------


def with_fhir(server: FHIRServer, more: str = "") -> str:
    return NORTH + f"fhir:\n  servers: ['{server.base}']\n  within: PT5S\n" + more


def own_token(server: FHIRServer, access: str) -> str:
    return f"""\
  access: {access}
  token_url: {server.base}/token
  client_id: wrapper-north
  scope: system/Patient.rs
  key: own.jwk.json
"""


async def call_north(running: Wrapper, body: dict[str, Any], ehr: EHR | None = None) -> httpx.Response:
    token = (ehr or EHR(NOON)).token(HERE)
    path = "/cds-services/cvd-risk"
    return await running.http.post(path, content=json.dumps(body).encode(), headers=bearer(token))


SOUTH = """
name: south
environment: test
issuer: https://south.example/oauth2
keys: {file: ehr.jwks.json}
"""


async def test_each_client_has_its_own_servers_read_and_one_without_any_has_none(tmp_path: Path) -> None:
    async with fhir_server(answering) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_of(tmp_path, vendor.url)
        write_clients(hooks, with_fhir(server), SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            body = without_prefetch("white-55", server.base)
            south = EHR(NOON, issuer="https://south.example/oauth2")
            assert (await call_north(running, body, south)).status_code == 200 and server.asked == []
            assert (await call_north(running, body)).status_code == 200 and len(server.asked) == 8
            rows = running.rows()
    assert [row["race"] for row in rows] == ["missing:not_fetched", "white"]
    assert [row["issuer"] for row in rows] == ["https://south.example/oauth2", ISSUER]


async def test_a_server_that_hangs_takes_no_connection_from_another_clients(tmp_path: Path) -> None:
    south = EHR(NOON, issuer="https://south.example/oauth2")
    async with (
        fhir_server(always(Says({}, after=60))) as hangs,
        fhir_server(answering) as server,
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
    ):
        hooks = hooks_of(tmp_path, vendor.url)
        reads = f"fhir:\n  servers: ['{server.base}']\n  within: PT2S\n"
        write_clients(hooks, with_fhir(hangs), SOUTH + reads)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            body = without_prefetch("white-55", hangs.base)
            waiting = [asyncio.create_task(call_north(running, body)) for _ in range(17)]
            async with asyncio.timeout(60):
                while len(hangs.asked) < CONNECTIONS:
                    await asyncio.sleep(0.01)
            await call_north(running, without_prefetch("white-55", server.base), south)
            await asyncio.gather(*waiting)
            rows = running.rows()
    assert [row["race"] for row in rows if row["client"] == "south"] == ["white"]
    assert {row["race"] for row in rows if row["client"] == "north"} == {"missing:fetch_failed"}


async def test_a_client_that_brings_no_token_is_read_with_our_own(tmp_path: Path) -> None:
    def granting(asked: Asked) -> Says:
        if asked.method == "POST":
            return Says({"access_token": "ours", "token_type": "Bearer", "expires_in": 300})
        return answering(asked)

    async with fhir_server(granting) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_of(tmp_path, vendor.url)
        write_clients(hooks, with_fhir(server, own_token(server, "token_or_backend")))
        key = hooks / "own.jwk.json"
        key.write_text(json.dumps(key_of("own-1").as_dict(private=True)))
        key.chmod(0o600)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            body = without_prefetch("white-55", server.base)
            del body["fhirAuthorization"]
            for _ in range(2):
                assert (await call_north(running, body)).status_code == 200
            rows = running.rows()
    assert [asked.method for asked in server.asked].count("POST") == 1, "one token serves both calls"
    assert [row["race"] for row in rows] == ["white", "white"]
    assert "client_assertion" in server.asked[0].form and "ours" not in running.log.getvalue()


async def test_a_token_of_ours_that_cannot_be_had_is_not_laid_at_the_ehrs_door(tmp_path: Path) -> None:
    async with (
        fhir_server(always(Says(b"", 503))) as server,
        fakes.running(fakes.answers({"cards": []})) as vendor,
    ):
        hooks = hooks_of(tmp_path, vendor.url)
        write_clients(hooks, with_fhir(server, own_token(server, "backend")))
        key = hooks / "own.jwk.json"
        key.write_text(json.dumps(key_of("own-1").as_dict(private=True)))
        key.chmod(0o600)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            body = without_prefetch("white-55", server.base)
            del body["fhirAuthorization"]
            (card,) = (await call_north(running, body)).json()["cards"]
            await asyncio.sleep(0)  # the operator is told once the answer is on its way
            ready = (await running.http.get("/readyz")).json()
            events = {event["event"] for event in running.events()}
    assert "Use your usual assessment" in card["detail"], "no card would look like no risk"
    assert {"fhir_token_unavailable", "fhir_not_read"} <= events and "request_stripped" not in events
    assert ready["alarms"] == {}


@pytest.mark.parametrize("what", ["servers", "token_url"])
async def test_production_reads_over_https_only(what: str, tmp_path: Path) -> None:
    async with fhir_server(answering) as server:
        text = with_fhir(server, own_token(server, "backend"))
        secure = text.replace("http://127.0.0.1", "https://127.0.0.1")
        entry = {
            "servers": secure.replace("https://127.0.0.1", "http://127.0.0.1", 1),
            "token_url": secure.replace("token_url: https:", "token_url: http:"),
        }[what]
        hooks = copy_hooks(tmp_path, "https://vendor.example/x")
        write_clients(hooks, entry)
        (hooks / "own.jwk.json").write_text(json.dumps(key_of("own-1").as_dict(private=True)))
        (hooks / "own.jwk.json").chmod(0o600)
        with pytest.raises(ConfigurationRefused) as refused:
            async with wrapper(tmp_path, hooks, profile=Profile.PRODUCTION, public_url=PUBLIC):
                pass
    (mistake,) = refused.value.mistakes
    assert mistake.key == f"fhir.{what}" and "is plain http" in mistake.problem


async def test_production_takes_no_server_from_the_development_setting(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, "https://vendor.example/x")
    write_clients(hooks, NORTH)
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_DEVELOPMENT_FHIR"):
        async with wrapper(
            tmp_path,
            hooks,
            profile=Profile.PRODUCTION,
            public_url=PUBLIC,
            development_fhir="https://ehr.example",
        ):
            pass


# The guide --------------------------------------------------------------------------------------------------

HOW_TO = (ROOT / "docs" / "how-to" / "read-what-the-ehr-did-not-send.md").read_text()


def test_the_how_to_says_how_to_register_and_gives_a_reason_for_every_key() -> None:
    """Minimum necessary: whoever adds a key to a shipped service writes down what it is needed for."""
    registered = HOW_TO.partition("## Register first")[2].partition("\n## ")[0]
    assert all(word in registered for word in ("authorisation server", "client id", "public part", "scopes"))
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in HOW_TO.partition("## What is asked for, and why")[2].partition("\n## ")[0].splitlines()
        if line.startswith("| `")
    ]
    reasons = {(service, key): reason for service, key, _scope, reason in rows if len(reason) > 20}
    scopes = {(service, key): scope.removesuffix(".rs") for service, key, scope, _reason in rows}
    services = load_services(ROOT / "hooks")
    asked = [(service, key, query) for service in services for key, query in service.prefetch.items()]
    assert asked
    for service, key, query in asked:
        assert (service.id, key) in reasons, "write down in the how-to what this key is needed for"
        assert query.startswith(scopes[service.id, key]), "the scope is for another type of resource"


def test_the_example_of_the_how_to_is_right(tmp_path: Path) -> None:
    example = HOW_TO.partition("```yaml\n")[2].partition("```")[0]
    key = json.dumps(key_of("own-1").as_dict(private=True)).encode()
    examined = read_clients(example.encode(), ["cvd-risk"], lambda _name: key)
    assert examined.mistakes == () and examined.warnings == () and examined.known is not None
    assert examined.known.clients[0].fhir is not None

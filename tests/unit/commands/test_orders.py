"""`stop`, `shadow`, `resume` and `orders`, as an operator runs them at night."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.commands.table import build
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.decisions import orders_in
from cds_wrapper.ledger.store import LedgerReader
from tests.service.harness import ROOT
from tests.unit.ledger.attacks import attacker, written
from tests.unit.ledger.examples import Locked

STOP = ("stop", "cvd-risk", "--by", "informatician on call", "--why", "vendor recalled it")


def run(folder: Path, *arguments: str, hooks: Path = ROOT / "hooks") -> Result:
    environment = {
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "CDS_WRAPPER_HOOKS": str(hooks),
    }
    commands = build(["stop", "shadow", "resume", "orders", "export"])
    return CliRunner().invoke(commands, arguments, env=environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path / "ledger.db")
    return tmp_path


def in_force(folder: Path, name: str = "ledger.db") -> dict[str, Ordered]:
    return {service: order.decision for service, order in orders_in(folder / name).items()}


def rows(folder: Path) -> list[dict[str, Any]]:
    return LedgerReader(folder / "ledger.db").rows("SELECT * FROM decisions_v1")


def test_one_command_stops_a_service_and_records_who_and_why(folder: Path) -> None:
    stopped = run(folder, *STOP)

    assert stopped.exit_code == 0, stopped.stderr
    assert "cvd-risk is switched off from " in stopped.stdout
    assert "by order of informatician on call." in stopped.stdout
    assert "within 5 seconds" in stopped.stdout
    assert in_force(folder) == {"cvd-risk": Ordered.STOP}
    (held,) = rows(folder)
    assert (held["by_role"], held["second_role"], held["why"]) == (
        *("informatician on call", None),
        "vendor recalled it",
    )
    assert held["plan_version"] == "1" and held["decision_id"] in stopped.stdout


def test_resuming_takes_two_roles(folder: Path) -> None:
    run(folder, *STOP)

    alone = run(folder, "resume", "cvd-risk", "--by", "clinical owner", "--why", "fixed")
    assert alone.exit_code == 2
    assert "is switched off still: loosening takes two roles. Add --second ROLE." in alone.stderr
    twice = run(folder, "resume", "cvd-risk", "--by", "owner", "--second", "Owner", "--why", "fixed")
    assert twice.exit_code == 2 and "the same role" in twice.stderr
    assert in_force(folder) == {"cvd-risk": Ordered.STOP}

    both = run(folder, "resume", "cvd-risk", "--by", "owner", "--second", "chair", "--why", "fixed")
    assert both.exit_code == 0 and "cvd-risk is live from " in both.stdout
    assert "owner and chair" in both.stdout
    assert in_force(folder) == {"cvd-risk": Ordered.LIVE}


def test_shadow_takes_one_role_from_live_and_two_from_stop(folder: Path) -> None:
    shadow = ("shadow", "cvd-risk", "--by", "chair", "--why", "scores too low")
    assert run(folder, *shadow).exit_code == 0
    assert in_force(folder) == {"cvd-risk": Ordered.SHADOW}
    assert run(folder, *STOP).exit_code == 0

    assert run(folder, *shadow).exit_code == 2
    assert run(folder, *shadow, "--second", "owner").exit_code == 0
    assert in_force(folder) == {"cvd-risk": Ordered.SHADOW}


def test_an_order_that_is_in_force_already_is_told_and_not_written_again(folder: Path) -> None:
    run(folder, *STOP)
    again = run(folder, "stop", "cvd-risk", "--by", "somebody else", "--why", "the same")

    assert again.exit_code == 0
    assert "is switched off already, since " in again.stdout
    assert "by order of informatician on call; nothing was written." in again.stdout
    assert len(rows(folder)) == 1


def test_a_service_that_was_never_stopped_is_not_resumed(folder: Path) -> None:
    never = run(folder, "resume", "cvd-risk", "--by", "a", "--why", "c")

    assert never.exit_code == 0 and "is live already; nothing was written." in never.stdout
    assert rows(folder) == []


def test_an_unknown_service_is_named_with_the_nearest(folder: Path) -> None:
    wrong = run(folder, "stop", "cvd-rsik", "--by", "a", "--why", "b")
    other = run(folder, "stop", "nothing-like-it", "--by", "a", "--why", "b")

    assert (wrong.exit_code, other.exit_code) == (3, 3)
    assert "There is no service `cvd-rsik`" in wrong.stderr
    assert "Did you mean `cvd-risk`? Nothing was ordered." in wrong.stderr
    assert "There are: " in other.stderr and "cvd-risk" in other.stderr
    assert rows(folder) == []


def test_a_service_with_a_mistake_in_its_files_can_be_stopped(folder: Path) -> None:
    hooks = Path(shutil.copytree(ROOT / "hooks", folder / "hooks"))
    (hooks / "cvd-risk" / "plan.yaml").write_text("version: none of your business")

    assert run(folder, *STOP, hooks=hooks).exit_code == 0
    assert rows(folder)[0]["plan_version"] is None


def test_a_service_whose_folder_is_gone_can_be_stopped_where_it_was_served(folder: Path) -> None:
    content = (ROOT / "hooks" / "cvd-risk" / "service.yaml").read_bytes()
    connection = sqlite3.connect(folder / "ledger.db")
    with connection:
        connection.execute(
            "INSERT INTO kept_files VALUES ('d', 'service', 'cvd-risk/service.yaml', ?, 't')", (content,)
        )
    connection.close()

    assert run(folder, *STOP, hooks=folder / "nowhere").exit_code == 0
    assert in_force(folder) == {"cvd-risk": Ordered.STOP}


@pytest.mark.parametrize(
    ("option", "text"),
    [("--why", ""), ("--why", "two\nlines"), ("--why", "x" * 501), ("--by", " "), ("--by", "x" * 101)],
)
def test_who_and_why_are_one_line_of_bounded_length(folder: Path, option: str, text: str) -> None:
    given = {"--by": "role", "--why": "reason", option: text}
    refused = run(folder, "stop", "cvd-risk", *(part for pair in given.items() for part in pair))

    assert refused.exit_code == 2
    assert f"{option}: write one line of 1 to" in refused.stderr
    assert "Nothing was ordered." in refused.stderr
    assert rows(folder) == []


def test_without_a_ledger_nothing_is_ordered_and_none_is_made(tmp_path: Path) -> None:
    refused = run(tmp_path, *STOP)

    assert refused.exit_code == 2
    assert f"There is no ledger at {tmp_path / 'ledger.db'}" in refused.stderr
    assert "docs/how-to/stop-a-model.md" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    assert (ROOT / "docs" / "how-to" / "stop-a-model.md").exists()


@pytest.mark.slow
def test_a_locked_ledger_is_told(folder: Path) -> None:
    with Locked(folder / "ledger.db"):
        refused = run(folder, *STOP)

    assert refused.exit_code == 2
    assert "was locked by another process" in refused.stderr
    assert "the order was NOT given" in refused.stderr


def test_one_command_orders_in_several_ledgers_and_fails_if_one_does(folder: Path) -> None:
    prepare(folder / "second.db")
    ledgers = [part for name in ("ledger.db", "second.db") for part in ("--ledger", str(folder / name))]
    both = run(folder, *STOP, *ledgers, "--json")

    assert both.exit_code == 0
    document = json.loads(both.stdout)
    assert [one["outcome"] for one in document["ledgers"]] == ["written", "written"]
    assert len({one["decision_id"] for one in document["ledgers"]}) == 1
    assert in_force(folder) == in_force(folder, "second.db") == {"cvd-risk": Ordered.STOP}

    resume = ("resume", "cvd-risk", "--by", "a", "--second", "b", "--why", "c")
    one = run(folder, *resume, *ledgers, "--ledger", "no.db")
    assert one.exit_code == 2
    assert "There is no ledger at no.db" in one.stderr
    assert in_force(folder) == in_force(folder, "second.db") == {"cvd-risk": Ordered.LIVE}


def test_orders_lists_what_is_in_force(folder: Path) -> None:
    assert "cvd-risk is live: no order was ever given." in run(folder, "orders").stdout
    run(folder, *STOP)

    told = run(folder, "orders").stdout
    assert "cvd-risk is switched off since " in told
    assert "by order of informatician on call: vendor recalled it." in told
    listed = {one["service"]: one for one in json.loads(run(folder, "orders", "--json").stdout)["services"]}
    assert listed["cvd-risk"]["state"] == "stop"
    assert listed["cvd-risk"]["by"] == "informatician on call"
    assert run(folder / "nowhere", "orders").exit_code == 2


def test_whoever_orders_hears_that_earlier_decisions_were_altered(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db")
    run(tmp_path, "resume", "cvd-risk", "--by", "a", "--second", "b", "--why", "c")
    with attacker(path) as connection:
        connection.execute("DELETE FROM decisions WHERE writer LIKE '%-command'")

    assert "earlier decisions was altered: run `check --ledger`" in run(tmp_path, *STOP).stdout


def test_decisions_are_exported_and_are_not_in_the_stream(folder: Path) -> None:
    run(folder, *STOP)

    (line,) = run(folder, "export", "decisions").stdout.splitlines()
    told = json.loads(line)
    assert (told["schema"], told["decision"], told["service_id"]) == ("decision.v1", "stop", "cvd-risk")
    assert run(folder, "export", "predictions").stdout == ""

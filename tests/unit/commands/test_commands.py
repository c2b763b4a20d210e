"""The commands say what is wrong and what to do, and exit with the numbers their help names."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_wrapper.cli import main
from cds_wrapper.commands.table import COMMANDS
from cds_wrapper.commands.try_request import what_became
from tests.ehr import ISSUER, NORTH, write_clients
from tests.service.harness import ROOT, copy_hooks

VENDOR = "http://127.0.0.1:9/cds-services/prevent"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_without_a_command_all_are_listed() -> None:
    shown = run("--help").stdout
    for name in COMMANDS:
        assert name in shown


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example_and_its_exit_codes(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cds-wrapper", name, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and "Example:" in shown and "Exit codes:" in shown


def test_production_is_refused_with_every_reason_at_once() -> None:
    refused = run("serve", CDS_WRAPPER_PROFILE="production")
    assert refused.returncode == 2
    said = refused.stderr.strip().splitlines()
    (event,) = [json.loads(line) for line in said if line.startswith("{")]
    reasons = [line for line in said if not line.startswith("{")]
    for part in (
        "clients.yaml: is missing",
        "PSEUDONYM_KEYS",
        "PUBLIC_URL",
        "cvd-risk/service.yaml: `vendor.url` is plain http",
    ):
        assert len([line for line in reasons if part in line]) == 1, part
    assert "CDS_WRAPPER_PROFILE to `development`" in refused.stderr
    assert event["event"] == "settings_refused"


def test_check_tells_what_production_refuses_from_what_is_only_worth_a_look(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    write_clients(hooks, NORTH)
    checked = run("check", "--hooks", str(hooks), CDS_WRAPPER_PROFILE="production")
    assert checked.returncode == 0, checked.stderr
    looked_at, refused = checked.stdout.split("`serve` will not start in production before this is done:")
    assert "Warning: environment: `CDS_WRAPPER_PSEUDONYM_KEYS`" not in looked_at and "Warning:" in looked_at
    assert "PSEUDONYM_KEYS" in refused and "`vendor.url` is plain http" in refused
    assert "plan.yaml" not in refused and "CDS_WRAPPER_SPOOL" not in refused


def test_check_shows_who_may_call_and_finds_what_is_wrong_with_it(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    file = write_clients(
        hooks, NORTH, 'name: lab\nenvironment: test\ncertificate: "CN=lab"\nservices: [cvd-risk]'
    )
    proxies = {"CDS_WRAPPER_CERTIFICATE_HEADER": "x-subject", "CDS_WRAPPER_PROXIES": "10.0.0.0/8"}
    checked = run("check", "--hooks", str(hooks), **proxies)
    assert checked.returncode == 0, checked.stderr
    assert f"Client name north, environment production, issuer {ISSUER}, keys ehr-1" in checked.stdout
    assert "certificate CN=lab, services cvd-risk" in checked.stdout
    listed = json.loads(run("check", "--hooks", str(hooks), "--json", **proxies).stdout)["clients"]
    assert [client["name"] for client in listed] == ["north", "lab"] and listed[1]["keys"] is None

    file.write_text(file.read_text().replace("issuer:", "isuer:"))
    wrong = run("check", "--hooks", str(hooks), CDS_WRAPPER_NOTIFY="https://alerts.example.org", **proxies)
    assert "environment: `CDS_WRAPPER_NOTIFY_KEY` is not set" in wrong.stderr
    assert wrong.returncode == 2 and "clients.yaml:5:5: `clients[0].isuer`" in wrong.stderr
    assert "Did you mean `issuer`?" in wrong.stderr and "clients.yaml: is missing" not in wrong.stdout


def test_check_lists_every_mistake_with_file_line_and_right_spelling(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR, title="titel")
    plan = hooks / "cvd-risk" / "plan.yaml"
    plan.write_text(plan.read_text().replace("without_ledger:", "without_leger:"))
    checked = run("check", "--hooks", str(hooks))
    assert checked.returncode == 2
    assert "service.yaml:4:1: `titel`" in checked.stderr and "Did you mean `title`?" in checked.stderr
    assert "Did you mean `without_ledger`?" in checked.stderr


def test_check_says_which_digest_to_sign_when_the_card_was_changed(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    card = hooks / "cvd-risk" / "model_card.yaml"
    card.write_text(card.read_text() + "# one more word\n")
    checked = run("check", "--hooks", str(hooks), "--json")
    (mistake,) = json.loads(checked.stdout)["mistakes"]
    assert checked.returncode == 2 and "model_card" in mistake["key"] and "sha256:" in mistake["problem"]


def test_check_shows_the_settings_masked() -> None:
    checked = run("check", CDS_WRAPPER_NAMESPACE="https://admin:hunter2@ehr.example.org")
    assert checked.returncode == 0 and "https://***@ehr.example.org" in checked.stdout
    assert "hunter2" not in checked.stdout + checked.stderr


def test_check_reports_wrong_settings_and_wrong_files_together(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR, title="titel")
    checked = run("check", "--hooks", str(hooks), CDS_WRAPPER_PORT="eighty")
    assert "CDS_WRAPPER_PORT" in checked.stderr and "titel" in checked.stderr


def test_try_says_which_services_there_are() -> None:
    tried = run("try", "fixtures/requests/white-55.json", "--service", "sepsis")
    assert tried.returncode == 3 and "cvd-risk on patient-view" in tried.stderr


def test_try_with_a_vendor_that_is_down_shows_the_card_and_says_so_by_its_exit_code(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    tried = run("try", "fixtures/requests/white-55.json", "--service", "cvd-risk", "--hooks", str(hooks))
    assert tried.returncode == 5
    assert "Nothing was recorded" in tried.stdout and "This does not mean low risk" in tried.stdout


def test_try_names_the_file_that_cannot_be_read() -> None:
    tried = run("try", "no-such-call.json", "--service", "cvd-risk")
    assert (
        tried.returncode == 2
        and "no-such-call.json: the request file cannot be read: No such" in tried.stderr
    )


def test_try_says_that_a_vendor_was_not_asked() -> None:
    service: Any = SimpleNamespace(vendor=SimpleNamespace(url=VENDOR, protocol="rest"))
    asked, unasked = ({"status": "missing_input", "vendor_attempts": times} for times in (1, 0))
    assert what_became(asked, service) == f"Asked {VENDOR}: missing_input"
    assert what_became(unasked, service) == f"{VENDOR} was not asked: missing_input"


def test_try_says_with_which_status_a_server_refused() -> None:
    service: Any = SimpleNamespace(vendor=SimpleNamespace(url=VENDOR, protocol="rest"))
    refused = {"status": "refused", "vendor_attempts": 1, "vendor_http_status": 400}
    wrong = {**refused, "status": "unreadable", "vendor_http_status": 200, "reason": "wrong_shape"}
    assert what_became(refused, service) == f"Asked {VENDOR}: refused (HTTP 400)"
    assert what_became(wrong, service) == f"Asked {VENDOR}: unreadable (wrong_shape)"


def test_explain_without_such_a_prediction_or_without_a_ledger_says_so(tmp_path: Path) -> None:
    missing = run("explain", "nothing", CDS_WRAPPER_LEDGER=f"sqlite:///{tmp_path / 'none.db'}")
    assert missing.returncode == 2 and missing.stderr.strip()
    assert "Traceback" not in missing.stderr


def test_a_ledger_that_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    ledger = tmp_path / "nowhere" / "ledger.db"
    refused = run(
        "serve",
        CDS_WRAPPER_PROFILE="development",
        CDS_WRAPPER_HOOKS=str(hooks),
        CDS_WRAPPER_LEDGER=f"sqlite:///{ledger}",
        CDS_WRAPPER_PORT="0",
    )
    assert refused.returncode == 1 and "CDS_WRAPPER_LEDGER" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken_is_said_before_anything_is_opened(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, VENDOR)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run(
            "serve",
            CDS_WRAPPER_PROFILE="development",
            CDS_WRAPPER_HOOKS=str(hooks),
            CDS_WRAPPER_LEDGER=f"sqlite:///{tmp_path / 'ledger.db'}",
            CDS_WRAPPER_PORT=str(taken.getsockname()[1]),
        )
    assert refused.returncode == 1 and "CDS_WRAPPER_PORT" in refused.stderr
    assert not (tmp_path / "ledger.db").exists()

"""The sheet for an EHR's analysts says what this installation answers to, and why it asks for what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from cds_wrapper.commands.client_sheet import as_text, reason_for, sheet_for
from cds_wrapper.commands.table import COMMANDS, build
from cds_wrapper.services import ServiceCatalog, examine_clients, load_services
from cds_wrapper.services.own_keys import Need, OwnQuery
from cds_wrapper.services.profiles_file import ProfileName
from tests.ehr import ISSUER, NORTH, write_clients
from tests.service.harness import copy_hooks, settings_for, wrapper

PUBLIC = "https://cds.example.org"
BASE = f"{PUBLIC}/cds-services/cvd-risk"
EPIC = (
    NORTH
    + "profile: epic\naudiences: [cds-north]\ntenants: [main]\nprefetch_keys: {CHOL: lipids}\n"
    + 'origins: ["https://ehr.example.org"]\nmost_at_once: 7\n'
)


def sheet(folder: Path, name: str, *entries: str) -> Any:
    hooks = copy_hooks(folder, "http://127.0.0.1:9/x")
    if entries:
        write_clients(hooks, *entries)
    settings = settings_for(folder, hooks, public_url=PUBLIC)
    made, mistakes = sheet_for(name, settings, load_services(hooks), examine_clients(hooks).known)
    assert mistakes == ()
    return made


def test_a_clients_sheet_names_addresses_tokens_and_limits(tmp_path: Path) -> None:
    text = as_text(sheet(tmp_path, "north", EPIC)).splitlines()
    for line in (
        "What to enter in the EHR: north (production), Epic (profile epic)",
        f"Discovery       GET {PUBLIC}/cds-services   (needs a token)",
        "  Hook          patient-view",
        f"  Address       POST {BASE}",
        f"  Feedback      POST {BASE}/feedback",
        f"  iss           {ISSUER}",
        "  aud           the address that is called, letter for letter | cds-north",
        "  alg           RS384",
        "  Keys          ehr-1",
        "  exp - iat     1200 s at most; the two clocks may differ by 60 s",
        "  tenant        main",
        "  - https://ehr.example.org",
        "Calls at one time: 7; one more is answered with 429 and Retry-After.",
        "Feedback: 1000 entries in one call.",
    ):
        assert line in text, line


def test_prefetch_keys_are_the_ehrs_own_with_our_name_beside(tmp_path: Path) -> None:
    made = sheet(tmp_path, "north", EPIC)
    (service,) = made["services"]
    keys = {one["key"]: one["service_key"] for one in service["prefetch"]}
    assert keys["CHOL"] == "lipids" and "lipids" not in keys and keys["patient"] == "patient"
    assert "(here: lipids)" in as_text(made)


async def test_the_queries_are_those_of_discovery_word_for_word(tmp_path: Path) -> None:
    made = sheet(tmp_path, "generic")
    async with wrapper(tmp_path, tmp_path / "hooks", public_url=PUBLIC) as running:
        (entry,) = (await running.http.get("/cds-services")).json()["services"]
    (service,) = made["services"]
    assert {one["key"]: one["query"] for one in service["prefetch"]} == entry["prefetch"]
    assert (service["id"], service["hook"]) == (entry["id"], entry["hook"])


def test_every_key_that_is_asked_for_has_a_reason(tmp_path: Path) -> None:
    made = sheet(tmp_path, "generic")
    reasons = {one["key"]: one["reason"] for one in made["services"][0]["prefetch"]}
    assert "groups for caveat and record (age_band" in reasons["patient"]
    assert "input of the model" in reasons["lipids"] and "groups" not in reasons["lipids"]
    assert not [key for key, reason in reasons.items() if "nobody" in reason]
    (service,) = load_services(tmp_path / "hooks")
    assert reason_for("other", service) == "read by nobody: it can be left out"


def test_a_key_of_the_wrappers_own_is_the_reason_for_what_no_patient_holds(tmp_path: Path) -> None:
    subgroups = copy_hooks(tmp_path, "http://127.0.0.1:9/x") / "cvd-risk" / "subgroups.yaml"
    payer = "  payer: {core: false, monitor: true, display: never}\ncrossings:"
    subgroups.write_text(subgroups.read_text().replace("crossings:", payer, 1))
    (service,) = load_services(tmp_path / "hooks")
    assert reason_for("wrapper-coverage", service) == "read by the wrapper for payer"
    assert "payer" not in reason_for("patient", service)


def test_what_the_wrapper_reads_by_itself_and_what_it_offers_for_dismissal_is_said(tmp_path: Path) -> None:
    sheet(tmp_path, "generic")
    (service,) = load_services(tmp_path / "hooks")
    own = OwnQuery(Need.COVERAGE, "wrapper-coverage", "Coverage?x", ("the attribute payer",), shared=False)
    reason = {"system": "urn:reasons", "code": "no-trust", "display": "Does not trust it"}
    changed = replace(
        service,
        prefetch={**service.prefetch, own.key: own.template},
        own_queries=(own,),
        cards=replace(service.cards, override_reasons=(reason,)),
    )
    assert reason_for(own.key, changed) == "read by the wrapper for the attribute payer"
    settings = settings_for(tmp_path, tmp_path / "hooks", public_url=PUBLIC)
    made, _ = sheet_for("epic", settings, ServiceCatalog((changed,)), None)
    assert made is not None and "    urn:reasons|no-trust Does not trust it" in as_text(made).splitlines()


def test_the_sheet_says_from_which_servers_we_read_and_as_whom(tmp_path: Path) -> None:
    access = "\nfhir: {servers: [https://ehr.example.org/fhir]}\n"
    assert not any("FHIR;" in line for line in as_text(sheet(tmp_path / "none", "north", NORTH)).splitlines())
    made = sheet(tmp_path / "token", "north", NORTH.rstrip() + access)
    assert made["fhir"]["servers"] == ["https://ehr.example.org/fhir"] and made["fhir"]["access"] == "token"
    lines = as_text(made).splitlines()
    assert "  Servers       https://ehr.example.org/fhir" in lines
    assert "  Whose token   the one that each call brings (fhirAuthorization)" in lines
    assert not any(line.startswith("  Scope") for line in lines)


def test_the_sheet_says_the_scopes_that_our_own_token_needs(tmp_path: Path) -> None:
    made = dict(sheet(tmp_path, "north", NORTH))
    made["fhir"] = {
        "servers": ["https://ehr.example.org/fhir"],
        "access": "token_or_backend",
        "token_url": "https://ehr.example.org/token",
        "client_id": "us",
        "scope": "system/Patient.rs",
    }
    lines = as_text(made).splitlines()
    assert "  Scope         system/Patient.rs" in lines and "  Client id     us" in lines


def test_a_client_sees_its_own_services_only(tmp_path: Path) -> None:
    assert sheet(tmp_path, "north", NORTH + "services: [cvd-risk]\n")["services"]


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_a_profile_has_a_sheet_before_there_is_a_client(name: str, tmp_path: Path) -> None:
    made = sheet(tmp_path, name)
    text = as_text(made)
    assert made["client"] is None and f"(profile {name})" in text and BASE in text
    assert "iss           to be told by the EHR" in text


def test_a_client_wins_over_a_profile_of_the_same_name(tmp_path: Path) -> None:
    made = sheet(tmp_path, "epic", NORTH.replace("name: north", "name: epic"))
    assert (made["client"], made["profile"]) == ("epic", "generic")


def test_the_command_prints_the_sheet_alone_and_as_json_for_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/x")
    write_clients(hooks, EPIC)
    monkeypatch.setenv("CDS_WRAPPER_PUBLIC_URL", PUBLIC)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(build(COMMANDS), ["check", "--hooks", str(hooks), *arguments])

    shown = run("--client", "north")
    assert shown.exit_code == 0 and shown.output.startswith("What to enter in the EHR: north")
    assert json.loads(run("--client", "north", "--json").output)["discovery_url"] == f"{PUBLIC}/cds-services"
    unknown = run("--client", "nroth")
    assert unknown.exit_code == 2 and "neither a client of clients.yaml nor a profile" in unknown.output
    assert "Did you mean `north`?" in unknown.output
    listed = run().output
    assert (
        "profile epic, origins https://ehr.example.org, most_at_once 7, prefetch_keys CHOL:lipids" in listed
    )
    assert "topic_state True" in listed

    (hooks / "clients.yaml").write_text("clients: []")
    wrong = run("--client", "epic")
    assert wrong.exit_code == 2 and "What to enter" not in wrong.output

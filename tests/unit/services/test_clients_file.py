"""`clients.yaml`: what it says, and what somebody can write wrong in it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.ehr.clients import KeyAddress
from cds_wrapper.ehr.key_sets import ALGORITHMS, KeySet
from cds_wrapper.services.clients_file import ClientFile, ExaminedClients, examine_clients, read_clients
from tests.ehr import key_of, published

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "trust-your-ehr.md"

FULL = """\
discovery: open
clients:
  - name: north
    environment: production
    issuer: https://ehr.example.org/oauth2
    keys:
      url: https://ehr.example.org/oauth2/jwks
      jku: [https://ehr.example.org/oauth2/keys]
      refresh_after: PT10M
      kept_while_unreachable: PT12H
    algorithms: [RS384]
    audiences: [cds-wrapper-north]
    tenants: [main, children]
    services: [cvd-risk]
    longest_lifetime: PT15M
    leeway: PT30S
    typ_required: false
  - name: lab
    environment: test
    issuer: urn:lab
    keys: {file: lab.jwks.json}
  - name: old
    environment: development
    certificate: CN=old
"""


def files(name: str) -> bytes:
    if name != "lab.jwks.json":
        raise FileNotFoundError(2, "No such file or directory")
    return published(key_of("ehr-1"))


def read(text: str, read_file: Any = files) -> ExaminedClients:
    return read_clients(text.encode(), ["cvd-risk"], read_file)


def test_everything_that_is_written_arrives() -> None:
    examined = read(FULL)
    assert examined.mistakes == () and examined.known is not None
    north, lab, old = examined.known.clients
    assert north.keys == KeyAddress(
        "https://ehr.example.org/oauth2/jwks", timedelta(minutes=10), timedelta(hours=12)
    )
    assert north.key_addresses == {
        "https://ehr.example.org/oauth2/jwks",
        "https://ehr.example.org/oauth2/keys",
    }
    assert (north.algorithms, north.audiences) == (frozenset({"RS384"}), frozenset({"cds-wrapper-north"}))
    assert (north.tenants, north.services) == (frozenset({"main", "children"}), frozenset({"cvd-risk"}))
    assert (north.longest_lifetime, north.leeway) == (timedelta(minutes=15), timedelta(seconds=30))
    assert north.type_required is False and examined.known.open_discovery
    assert isinstance(lab.keys, KeySet) and lab.keys.names == {"ehr-1"}
    assert (lab.algorithms, lab.tenants, lab.services) == (frozenset({"ES384", "RS384"}), None, None)
    assert (lab.longest_lifetime, lab.leeway) == (timedelta(hours=1), timedelta(minutes=1))
    assert lab.type_required and lab.certificate is None and lab.key_addresses == frozenset()
    assert (old.issuer, old.keys, old.certificate) == (None, None, "CN=old")
    assert set(examined.known.by_issuer) == {"https://ehr.example.org/oauth2", "urn:lab"}
    assert set(examined.known.by_certificate) == {"CN=old"}


def test_what_deserves_a_second_look_is_warned_of() -> None:
    warned = read(FULL.replace("https://ehr.example.org/oauth2/jwks", "http://ehr.example.org/jwks")).warnings
    assert [(one.line, one.key) for one in warned] == [
        (1, "discovery"),
        (7, "clients[0].keys.url"),
        (17, "clients[0].typ_required"),
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "said", "offered"),
    [
        ("issuer: https", "isuer: https", "not a key known here", "issuer"),
        ("discovery: open", "discovery: public", "one of: token, open", None),
        ("environment: test", "environment: test\n    profile: epci", "one of: athenahealth", "epic"),
        (
            "environment: test",
            "environment: test\n    profile: Cerner",
            "one of: athenahealth",
            "oracle-health",
        ),
        ("environment: test", "environment: tset", "one of: production, test", "test"),
        ("[RS384]", "[HS256]", "one of: ES256", "RS256"),
        ("[RS384]", "[none]", "one of: ES256", None),
        ("[RS384]", "[RS348]", "one of: ES256", "RS384"),
        ("[RS384]", "[]", "at least 1 item", None),
        ("url: https:", "url: ftp:", "not an http(s) address", None),
        ("url: https://", "url: https://user:secret@", "not an http(s) address", None),
        ("      url:", "      file: lab.jwks.json\n      url:", "either `url` or `file`", None),
        ("keys: {file: lab.jwks.json}", "keys: {}", "either `url` or `file`", None),
        ("file: lab.jwks.json", "file: lba.jwks.json", "cannot be read: No such file", None),
        ("file: lab.jwks.json", "file: ../lab.jwks.json", "bare name of a file", None),
        ("    issuer: urn:lab\n", "", "needs `issuer` and `keys` together", None),
        ("    certificate: CN=old\n", "", "how is it recognised?", None),
        ("name: lab", "name: north", "used by another client", None),
        ("issuer: urn:lab", "issuer: https://ehr.example.org/oauth2", "used by another client", None),
        ("services: [cvd-risk]", "services: [cvd_risk]", "no service here", "cvd-risk"),
        ("services: [cvd-risk]", "services: []", "at least 1 item", None),
        ("tenants: [main, children]", "tenants: []", "at least 1 item", None),
        ("longest_lifetime: PT15M", "longest_lifetime: PT2H", "from `PT1S` to `PT1H`", None),
        ("longest_lifetime: PT15M", "longest_lifetime: 15", "not an ISO 8601 duration", None),
        ("leeway: PT30S", "leeway: PT6M", "at most `PT5M`", None),
        ("refresh_after: PT10M", "refresh_after: PT10S", "from `PT1M` to `PT24H`", None),
        ("kept_while_unreachable: PT12H", "kept_while_unreachable: PT200H", "at most `PT168H`", None),
        ("typ_required: false", "typ_required: no", "`true` or `false`", None),
        ("environment: test", "environment: test\n    fhir_servers: []", "not a key known here", "services"),
    ],
)
def test_a_mistake_is_found_with_its_line(right: str, wrong: str, said: str, offered: str | None) -> None:
    assert FULL.count(right) == 1
    examined = read(FULL.replace(right, wrong))
    found = [one for one in examined.mistakes if said in one.problem and one.suggestion == offered]
    assert found and examined.known is None, examined.mistakes
    assert all(one.file == "clients.yaml" and one.line for one in found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "RFC 7517"),
        (b"<html>", "RFC 7517"),
        (b'{"keys": []}', "no key that can verify"),
        (json.dumps({"keys": [key_of("ehr-1").as_dict(private=True)]}).encode(), "holds a private key"),
    ],
)
def test_a_key_file_that_would_let_nobody_in_or_anybody_is_a_mistake(content: bytes, said: str) -> None:
    (mistake,) = read(FULL, lambda _: content).mistakes
    assert said in mistake.problem and (mistake.line, mistake.key) == (21, "clients[1].keys.file")


def test_every_algorithm_that_can_be_listed_is_one_we_verify() -> None:
    listed = ClientFile.model_json_schema()["properties"]["algorithms"]["items"]["enum"]
    assert sorted(listed) == sorted(ALGORITHMS)


def test_without_the_file_there_are_no_clients_and_no_mistakes(tmp_path: Path) -> None:
    assert examine_clients(tmp_path) == ExaminedClients()
    assert examine_clients(tmp_path / "nowhere") == ExaminedClients()


@pytest.mark.parametrize("name", ["clients.yml", "client.yaml", "Clients.yaml"])
def test_a_file_that_was_meant_and_is_not_read_is_a_mistake(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FULL)
    (mistake,) = examine_clients(tmp_path).mistakes
    assert (mistake.file, mistake.suggestion) == (name, "clients.yaml")


def test_the_example_of_the_how_to_is_right() -> None:
    text = HOW_TO.read_text()
    examples = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    assert examples
    for example in examples:
        assert read(example, lambda _: published(key_of("ehr-1"))).mistakes == ()


junk: st.SearchStrategy[Any] = (
    st.none() | st.text(max_size=8) | st.integers() | st.lists(st.integers(), max_size=2) | st.just({})
)


@given(st.dictionaries(st.sampled_from([*ClientFile.model_fields, "x"]), junk, max_size=6))
def test_whatever_it_holds_ends_in_clients_or_in_mistakes(members: dict[str, Any]) -> None:
    text = json.dumps({"clients": [{"name": "north", "environment": "test", **members}]})
    examined = read(text)
    assert (examined.known is None) == bool(examined.mistakes)

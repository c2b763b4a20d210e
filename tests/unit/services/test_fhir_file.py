"""`fhir:` in `clients.yaml`: what it says, and what somebody can write wrong in it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.ehr.access import AccessMode
from cds_wrapper.services.clients_file import ExaminedClients, examine_clients, read_clients
from tests.ehr import Key, key_of, public, published

ENTRY = """\
clients:
  - name: north
    environment: production
    issuer: https://ehr.example.org/oauth2
    keys: {file: keys.json}
    fhir:
      """
OWN = """\
servers: [https://ehr.example.org/fhir]
access: token_or_backend
token_url: https://ehr.example.org/oauth2/token
client_id: wrapper
scope: system/Patient.rs
key: own.jwk.json
most_pages: 3
within: PT0.25S
"""


def private(key: Key) -> bytes:
    return json.dumps(key.as_dict(private=True)).encode()


def read(text: str, own: bytes | None = None) -> ExaminedClients:
    files = {"keys.json": published(key_of("ehr-1")), "own.jwk.json": own or private(key_of("own-1"))}
    return read_clients((ENTRY + text.replace("\n", "\n      ")).encode(), ["cvd-risk"], files.__getitem__)


def mistake(text: str, own: bytes | None = None) -> str:
    (found,) = read(text, own).mistakes
    return str(found)


def test_everything_that_is_written_arrives() -> None:
    known = read(OWN).known
    assert known is not None and known.clients[0].fhir is not None
    fhir = known.clients[0].fhir
    assert fhir.servers == ("https://ehr.example.org/fhir",) and fhir.mode is AccessMode.TOKEN_OR_BACKEND
    assert (fhir.most_pages, fhir.within) == (3, timedelta(milliseconds=250))
    assert fhir.backend is not None and fhir.backend.key.kid == "own-1"
    written = (fhir.backend.token_url, fhir.backend.client_id, fhir.backend.scope)
    assert written == ("https://ehr.example.org/oauth2/token", "wrapper", "system/Patient.rs")


def test_a_server_alone_is_read_with_the_token_a_call_brings() -> None:
    known = read("servers: [https://ehr.example.org/fhir/]").known
    assert known is not None and known.clients[0].fhir is not None
    assert known.clients[0].fhir.mode is AccessMode.TOKEN and known.clients[0].fhir.backend is None
    assert known.clients[0].fhir.servers == ("https://ehr.example.org/fhir",)


def test_without_it_nothing_is_read() -> None:
    known = read_clients(
        ENTRY.replace("    fhir:\n", "").encode(), ["cvd-risk"], lambda _: published(key_of("ehr-1"))
    ).known
    assert known is not None and known.clients[0].fhir is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servers: []", "servers"),
        ("access: token", "`clients[0].fhir.servers` is missing"),
        ("servers: [ehr.example.org]", "no FHIR base address"),
        ("servers: ['ftp://ehr.example.org']", "no FHIR base address"),
        ("servers: ['https://user@ehr.example.org/fhir']", "no FHIR base address"),
        ("servers: ['https://ehr.example.org/fhir?x=1']", "no FHIR base address"),
        ("servers: ['https://ehr.example.org/a b']", "no FHIR base address"),
        ("servers: ['https://ehr.example.org:99999/']", "no FHIR base address"),
        ("servers: ['https://éhr.example.org/']", "no FHIR base address"),
        ("servers: ['https://a.example', 'https://A.example:443/']", "lists one server twice"),
        ("servers: ['https://a.example']\nwithin: PT6S", "from `PT0.01S` to `PT5S`"),
        ("servers: ['https://a.example']\nmost_pages: 0", "most_pages"),
        ("servers: ['https://a.example']\nacces: token", "Did you mean `access`?"),
        ("servers: ['https://a.example']\nclient_id: x", "client_id, which `access: token` does not use"),
        ("servers: ['https://a.example']\naccess: backend", "needs token_url, client_id, scope, key"),
        (OWN.replace("https://ehr.example.org/oauth2/token", "token"), "is not an http(s) address"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    assert problem in mistake(text)


RSA_SHORT = {"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB", "d": "AQAB"}
KEYS: list[tuple[bytes, str]] = [
    (b"-----BEGIN " + b"PRIVATE KEY-----", "is no private key set"),
    (b"[]", "is no private key set"),
    (b"5", "is no private key set"),
    (b'{"keys": []}', "holds no key"),
    (json.dumps({"kty": "oct", "k": "AQAB", "kid": "k"}).encode(), "neither EC on P-384 nor RSA"),
    (json.dumps(RSA_SHORT).encode(), "cannot be read"),
    (private(key_of("own-256", "P-256")), "neither EC on P-384 nor RSA"),
    (json.dumps(public(key_of("own-1"))).encode(), "holds a public key only"),
    (json.dumps({**key_of("own-1").as_dict(private=True), "kid": ""}).encode(), "without a `kid`"),
    (json.dumps({**key_of("own-1").as_dict(private=True), "d": 5}).encode(), "cannot be read"),
]


@pytest.mark.parametrize(("own", "problem"), KEYS)
def test_a_key_that_cannot_sign_is_a_mistake_that_repeats_nothing_of_it(own: bytes, problem: str) -> None:
    said = mistake(OWN, own)
    assert problem in said and "`clients[0].fhir.key` names `own.jwk.json`" in said
    assert str(key_of("own-1").as_dict(private=True)["d"]) not in said


@pytest.mark.parametrize("kind", ["P-384", "RSA2048"])
def test_both_kinds_of_keys_sign_alone_or_as_the_first_of_a_set(kind: str) -> None:
    key = key_of(f"own-{kind}", kind)
    in_a_set = b'{"keys": [' + private(key) + b"]}"
    for content in (private(key), in_a_set):
        known = read(OWN, content).known
        assert known is not None and known.clients[0].fhir is not None
        assert known.clients[0].fhir.backend is not None
        assert known.clients[0].fhir.backend.key.kid == key.kid


@pytest.mark.parametrize(("mode", "problem"), [(0o640, "chmod 600"), (0o604, "chmod 600"), (0o600, None)])
def test_a_key_that_others_can_read_is_refused(mode: int, problem: str | None, tmp_path: Path) -> None:
    text: Any = ENTRY + OWN.replace("\n", "\n      ")
    (tmp_path / "clients.yaml").write_text(text)
    (tmp_path / "keys.json").write_bytes(published(key_of("ehr-1")))
    own = tmp_path / "own.jwk.json"
    own.write_bytes(private(key_of("own-1")))
    own.chmod(mode)
    said = [str(one) for one in examine_clients(tmp_path).mistakes]
    assert [problem in one for one in said if problem] == ([True] if problem else [])
    assert bool(said) is bool(problem)


def test_a_key_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "clients.yaml").write_text(ENTRY + OWN.replace("\n", "\n      "))
    (tmp_path / "keys.json").write_bytes(published(key_of("ehr-1")))
    (found,) = examine_clients(tmp_path).mistakes
    assert "cannot be read: No such file" in str(found)


def test_plain_http_is_warned_of() -> None:
    examined = read(OWN.replace("https://ehr.example.org/", "http://127.0.0.1:8082/"))
    said = [str(one) for one in examined.warnings]
    assert examined.known is not None
    assert ["fhir.servers[0]` is plain http" in said[0], "fhir.token_url` is plain http" in said[1]] == [
        True
    ] * 2

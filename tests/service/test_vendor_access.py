"""How we show ourselves to a vendor, end to end: signed calls, the published key set, mutual TLS."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.signing import new_key, write_own_keys
from tests import fakes
from tests.certificates import Authority
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper

NOW = datetime(2027, 3, 4, 12, tzinfo=UTC)
PUBLIC = "https://cds.example.org"
JWKS = "/.well-known/jwks.json"
OLD, NEW, RSA = new_key("ES384", NOW), new_key("ES384", NOW), new_key("RS384", NOW)


def with_vendor(lines: str) -> dict[str, str]:
    """Replacements that add lines to `vendor` of the service's file."""
    return {"  protocol: cds-hooks": f"  protocol: cds-hooks\n{lines}"}


def signing_with(folder: Path, *keys: Any, rest: str = "") -> dict[str, str]:
    file = folder / "vendor-keys.json"
    write_own_keys(file, keys)
    return with_vendor(f"  authentication: {{kind: jwt, key: {file}{rest}}}")


@asynccontextmanager
async def calling(
    folder: Path, replacements: dict[str, str], **settings: Any
) -> AsyncIterator[tuple[Wrapper, fakes.FakeVendor]]:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(folder, vendor.url, **replacements)
        async with wrapper(folder, hooks, public_url=PUBLIC, **settings) as running:
            yield running, vendor


def bearer_of(head: str) -> str:
    (line,) = [line for line in head.splitlines() if line.lower().startswith("authorization:")]
    return line.partition(" ")[2].removeprefix("Bearer ")


@pytest.mark.parametrize(
    ("keys", "algorithm", "rest"),
    [((OLD, NEW), "ES384", ""), ((RSA, OLD), "RS384", ", algorithm: RS384")],
)
async def test_the_vendor_can_verify_each_call_with_the_key_set_that_we_publish(
    keys: Any, algorithm: str, rest: str, tmp_path: Path
) -> None:
    async with calling(tmp_path, signing_with(tmp_path, *keys, rest=rest)) as (running, vendor):
        for _ in range(3):
            assert (await running.call(request_of("white-55"))).status_code == 200
        answer = await running.http.get(JWKS)
    published = answer.json()
    tokens = [bearer_of(head) for head in vendor.heads]
    verified = [jwt.decode(one, KeySet.import_key_set(published), algorithms=[algorithm]) for one in tokens]
    assert {one.header["kid"] for one in verified} == {keys[0].kid}, "the first key signs"
    assert {one.header["jku"] for one in verified} == {PUBLIC + JWKS}
    assert {one.claims["aud"] for one in verified} == {vendor.url}
    assert {one.claims["iss"] for one in verified} == {PUBLIC}
    assert len({one.claims["jti"] for one in verified}) == 3
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert "max-age" in answer.headers["cache-control"]
    assert [key["kid"] for key in published["keys"]] == [key.kid for key in keys], "both, during a rotation"
    assert not {"d", "p", "q"} & set().union(*published["keys"])


async def test_without_a_key_nothing_is_signed_and_nothing_published(tmp_path: Path) -> None:
    async with calling(tmp_path, {}) as (running, vendor):
        await running.call(request_of("white-55"))
        assert (await running.http.get(JWKS)).status_code == 404
    assert "authorization" not in vendor.heads[0].lower()


async def test_neither_key_nor_token_is_kept_or_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    async with calling(tmp_path, signing_with(tmp_path, OLD)) as (running, vendor):
        answer = await running.call(request_of("white-55"))
        rows, published = str(running.rows()), (await running.http.get(JWKS)).text
    (tmp_path / "vendor-keys.json").unlink()
    files = b"".join(one.read_bytes() for one in tmp_path.glob("**/*") if one.is_file()).decode("latin-1")
    told = [answer.text, rows, published, files, running.log.getvalue(), caplog.text, *capfd.readouterr()]
    secret, signature = str(OLD.as_dict(private=True)["d"]), bearer_of(vendor.heads[0]).split(".")[2]
    assert not [text for text in told if secret in text or signature in text]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("authentication: {kind: jwt, key: /nowhere/keys.json}", "cannot be read"),
        ("authentication: {kind: jwt, key: env:NO_SUCH_VARIABLE}", "not set"),
        ("authentication: {kind: bearer, token: /nowhere/token}", "cannot be read"),
        ("authentication: {kind: jwt, key: keys.json}", "neither the whole path"),
        ("authentication: {kind: jwt, key: env:CDS_WRAPPER_KEY}", "not one of"),
        ("authentication: {kind: jwt, token: /a}", "needs `key` for `jwt`"),
        ("authentication: {kind: jwt, key: /a, algorithm: HS256}", "must be one of: ES384, RS384"),
        ("authentication: {kind: jwt, key: /a, algorithm: none}", "must be one of: ES384, RS384"),
        ("tls: {certificate: /a}", "needs `certificate` and `key` together"),
        ("tls: {ca: /nowhere/ca.pem}", "make no connection"),
        ("hook: patient-vew", "no hook of the CDS Hooks library"),
        ("hook: order-sign", "must list `draftOrders`"),
        ("context: [draftOrders]", "beyond ids and references"),
        ("feedback: somewhere", "neither `off` nor `on` nor an http(s) address"),
        ("discovery: {url: model.example}", "is not an http(s) address"),
        ("discovery: {url: https://model.example, every: PT1S}", "must be from `PT1M`"),
    ],
)
async def test_what_could_not_work_is_refused_at_the_start(lines: str, words: str, tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/x", **with_vendor(f"  {lines}"))
    with pytest.raises(ConfigurationRefused) as refused:
        async with wrapper(tmp_path, hooks):
            pass
    assert words in refused.value.sentence


async def test_a_token_that_the_vendor_gave_goes_with_each_call(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("given-by-the-vendor\n")
    token.chmod(0o600)
    lines = with_vendor(f"  authentication: {{kind: bearer, token: {token}}}")
    async with calling(tmp_path, lines) as (running, vendor):
        await running.call(request_of("white-55"))
    assert bearer_of(vendor.heads[0]) == "given-by-the-vendor"


# Mutual TLS -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["ours", "nobody's", "none"])
async def test_the_vendor_is_shown_our_certificate_and_believed_by_its_own_authority(
    shown: str, tmp_path: Path
) -> None:
    theirs, ours, strangers = (Authority(tmp_path, name) for name in ("theirs", "ours", "strangers"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*theirs.issue("127.0.0.1"))
    server.load_verify_locations(ours.certificate)
    server.verify_mode = ssl.CERT_REQUIRED
    signer = ours if shown == "ours" else strangers
    certificate, key = signer.issue("cds-wrapper")
    pair = "" if shown == "none" else f", certificate: {certificate}, key: {key}"
    async with fakes.running(fakes.answers(fakes.card_answer()), tls=server) as vendor:
        lines = with_vendor(f"  tls: {{ca: {theirs.certificate}{pair}}}")
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **lines)) as running:
            assert (await running.call(request_of("white-55"))).status_code == 200
            (row,) = running.rows()
    assert (row["status"] == "answered") == (shown == "ours") == bool(vendor.asked)


async def test_a_vendor_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    theirs, others = Authority(tmp_path, "theirs"), Authority(tmp_path, "others")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*others.issue("127.0.0.1"))
    async with fakes.running(fakes.answers(fakes.card_answer()), tls=server) as vendor:
        lines = with_vendor(f"  tls: {{ca: {theirs.certificate}}}")
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **lines)) as running:
            await running.call(request_of("white-55"))
            (row,) = running.rows()
    assert (row["status"], vendor.asked) == ("unreachable", [])


async def test_a_key_that_wants_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ours").issue("cds-wrapper", password=b"secret")
    lines = with_vendor(f"  tls: {{certificate: {certificate}, key: {key}}}")
    hooks = copy_hooks(tmp_path, "https://127.0.0.1:9/x", **lines)
    with pytest.raises(ConfigurationRefused, match="without a password"):
        async with wrapper(tmp_path, hooks):
            pass


# What is recorded -------------------------------------------------------------------------------------------


async def test_the_record_joins_the_ehrs_call_with_ours_and_our_cards_with_the_vendors(
    tmp_path: Path,
) -> None:
    async with calling(tmp_path, {}) as (running, vendor):
        (card,) = (await running.call(request_of("white-55"))).json()["cards"]
        (row,) = running.rows()
    assert row["hook_instance"] == request_of("white-55")["hookInstance"]
    assert row["vendor_hook_instance"] == vendor.asked[0]["hookInstance"] != row["hook_instance"]
    assert json.loads(row["cards_returned"]) == [card["uuid"]]
    assert json.loads(row["vendor_cards"]) == [fakes.DEFAULT_CARD["uuid"]]


@pytest.mark.parametrize(
    ("document", "status", "kept"),
    [
        ({"cards": []}, 200, []),
        ({"cards": [{**fakes.DEFAULT_CARD, "uuid": "x" * 257}]}, 200, [None]),
        ({"cards": [{**fakes.DEFAULT_CARD, "uuid": None}, fakes.DEFAULT_CARD]}, 200, [None, "vendor's"]),
        ({"cards": [{**fakes.DEFAULT_CARD, "selectionBehavior": "all"}]}, 200, [None]),
        ({}, 500, [None]),
    ],
)
async def test_a_card_of_our_own_has_no_id_of_the_vendors(
    document: Any, status: int, kept: list[str | None], tmp_path: Path
) -> None:
    async with fakes.running(fakes.answers(document, status=status)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(request_of("white-55"))
            (row,) = running.rows()
    wanted = [fakes.DEFAULT_CARD["uuid"] if one == "vendor's" else one for one in kept]
    assert json.loads(row["vendor_cards"]) == wanted
    assert len(json.loads(row["cards_returned"])) == len(kept)


async def test_one_name_for_two_keys_is_refused_and_one_file_for_two_services_is_published_once(
    tmp_path: Path,
) -> None:
    named_alike = type(OLD).import_key({**new_key("ES384", NOW).as_dict(private=True), "kid": str(OLD.kid)})
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/x", **signing_with(tmp_path, OLD))
    other = hooks / "other"
    shutil.copytree(hooks / "cvd-risk", other)
    file = other / "service.yaml"
    file.write_text(file.read_text().replace("id: cvd-risk", "id: other"))
    async with wrapper(tmp_path, hooks) as running:
        published = (await running.http.get(JWKS)).json()
    assert [key["kid"] for key in published["keys"]] == [OLD.kid]
    write_own_keys(tmp_path / "second.json", [named_alike])
    file.write_text(file.read_text().replace("vendor-keys.json", "second.json"))
    with pytest.raises(ConfigurationRefused, match="another key file holds another of that name"):
        async with wrapper(tmp_path, hooks):
            pass

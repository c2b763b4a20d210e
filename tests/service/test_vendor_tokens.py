"""API keys and fetched tokens towards vendors, end to end: what is shown, kept, renewed and never said."""

from __future__ import annotations

import asyncio
import base64
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
from cds_wrapper.production import unsafe
from cds_wrapper.services import examine_clients, load_services
from cds_wrapper.settings import Profile
from cds_wrapper.signing import new_key, write_own_keys
from cds_wrapper.vendor_access import examine_access
from tests import fakes
from tests.certificates import Authority
from tests.fhir import Asked, FHIRServer, Says, fhir_server
from tests.service.harness import SILENCE, Wrapper, copy_hooks, request_of, settings_for, wrapper

SECRET = "Quetzal~secret%1"
TOKEN = "Quetzaltoken"
GRANTED = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300}
NO_RESULT = "10-year cardiovascular risk (demonstration): no result right now. This does not mean low risk."
KEY = new_key("ES384", datetime(2027, 3, 4, tzinfo=UTC))


def with_vendor(lines: str) -> dict[str, str]:
    """Replacements that add lines to `vendor` of the service's file."""
    return {"  protocol: cds-hooks": f"  protocol: cds-hooks\n{lines}"}


def secret_in(folder: Path, text: str = SECRET) -> Path:
    file = folder / "secret"
    file.write_text(f"{text}\n")
    file.chmod(0o600)
    return file


def oauth2(folder: Path, server: FHIRServer, rest: str = "") -> dict[str, str]:
    file = secret_in(folder)
    return with_vendor(
        f"  authentication: {{kind: oauth2, token_url: '{server.base}/token', client_id: 'us:1',"
        f" secret: {file}{rest}}}"
    )


@asynccontextmanager
async def calling(
    folder: Path, replacements: dict[str, str], behaviour: fakes.Behaviour | None = None, **settings: Any
) -> AsyncIterator[tuple[Wrapper, fakes.FakeVendor]]:
    async with fakes.running(behaviour or fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(folder, vendor.url, **replacements)
        async with wrapper(folder, hooks, **settings) as running:
            yield running, vendor


def header_of(head: str, name: str) -> str:
    (line,) = [line for line in head.splitlines() if line.lower().startswith(f"{name}:")]
    return line.partition(":")[2].strip()


@pytest.mark.parametrize(("rest", "header"), [("", "x-api-key"), (", header: Ocp-Api-Key", "ocp-api-key")])
async def test_an_api_key_goes_with_each_call_in_the_header_it_belongs_in(
    rest: str, header: str, tmp_path: Path
) -> None:
    lines = with_vendor(f"  authentication: {{kind: api_key, secret: {secret_in(tmp_path)}{rest}}}")
    async with calling(tmp_path, lines) as (running, vendor):
        for _ in range(2):
            await running.call(request_of("white-55"))
        assert SECRET not in running.log.getvalue() + str(running.rows())
    assert [header_of(head, header) for head in vendor.heads] == [SECRET] * 2
    assert "authorization" not in vendor.heads[0].lower()


async def test_a_token_is_there_before_the_first_call_and_serves_them_all(tmp_path: Path) -> None:
    async with fhir_server(Says(GRANTED)) as server:
        lines = oauth2(tmp_path, server, ", scope: predict, audience: model")
        async with calling(tmp_path, lines) as (running, vendor):
            assert len(server.asked) == 1, "fetched at the start, on nobody's time"
            await asyncio.gather(*(running.call(request_of("white-55")) for _ in range(8)))
        (asked,) = server.asked
    assert {header_of(head, "authorization") for head in vendor.heads} == {f"Bearer {TOKEN}"}
    assert asked.form == {"grant_type": "client_credentials", "scope": "predict", "audience": "model"}
    encoded = asked.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(encoded).decode() == "us%3A1:Quetzal~secret%251", "RFC 6749, 2.3.1"


async def test_a_client_may_prove_itself_by_its_key_which_is_published(tmp_path: Path) -> None:
    write_own_keys(tmp_path / "own-keys.json", [KEY])
    async with fhir_server(Says(GRANTED)) as server:
        lines = oauth2(tmp_path, server)
        lines = {
            old: new.replace(f"secret: {tmp_path / 'secret'}", f"key: {tmp_path / 'own-keys.json'}")
            for old, new in lines.items()
        }
        async with calling(tmp_path, lines) as (running, vendor):
            await running.call(request_of("white-55"))
            published = (await running.http.get("/.well-known/jwks.json")).json()
        (asked,) = server.asked
        form = asked.form
        read = jwt.decode(form["client_assertion"], KeySet.import_key_set(published), algorithms=["ES384"])
        assert read.claims["aud"] == f"{server.base}/token"
    assert (read.claims["iss"], read.claims["sub"]) == (
        "us:1",
        "us:1",
    ) and "authorization" not in asked.headers
    assert header_of(vendor.heads[0], "authorization") == f"Bearer {TOKEN}"


async def test_a_token_the_vendor_refuses_is_replaced_and_no_question_is_sent_twice(tmp_path: Path) -> None:
    given = iter(["withdrawn", "fresh"])

    def answering(_asked: Asked) -> Says:
        return Says({**GRANTED, "access_token": next(given)})

    statuses = iter([401, 200])

    async def behave(writer: Any) -> None:
        await fakes.answers(fakes.card_answer(), status=next(statuses))(writer)

    async with fhir_server(answering) as server:
        async with calling(tmp_path, oauth2(tmp_path, server), behave) as (running, vendor):
            await running.call(request_of("white-55"))
            assert len(vendor.heads) == 1
            await running.call(request_of("white-55"))
            assert [row["status"] for row in running.rows()] == ["refused", "answered"]
    shown = [header_of(head, "authorization") for head in vendor.heads]
    assert shown == ["Bearer withdrawn", "Bearer fresh"]


async def test_without_a_token_nothing_is_sent_and_a_card_says_so(tmp_path: Path) -> None:
    async with fhir_server(Says({"error": SECRET}, status=400)) as server:
        async with calling(tmp_path, oauth2(tmp_path, server)) as (running, vendor):
            for _ in range(7):
                (card,) = (await running.call(request_of("white-55"))).json()["cards"]
                assert card["summary"] == NO_RESULT
            rows, events = running.rows(), running.events()
            assert SECRET not in running.log.getvalue()
    assert {(row["status"], row["reason"], row["vendor_attempts"]) for row in rows} == {
        ("unreachable", "no_token", 0)
    }
    assert vendor.heads == []
    told = [event for event in events if event["event"].startswith(("vendor_token", "circuit"))]
    assert [(event["event"], event["reason"]) for event in told] == [("vendor_token_unavailable", "http_400")]


async def test_a_server_that_hangs_stops_no_start_and_serves_later(tmp_path: Path) -> None:
    async with fhir_server(Says(GRANTED)) as server:
        server.wait_for = 1000  # it answers nobody
        async with calling(tmp_path, {**oauth2(tmp_path, server), **SILENCE}) as (running, _):
            await running.call(request_of("white-55"))
            server.wait_for = 0
            async with asyncio.timeout(60):
                while running.rows()[-1]["status"] != "answered":
                    await running.call(request_of("white-55"))
            assert running.rows()[0]["reason"] == "no_token"


async def test_a_token_is_renewed_before_its_end_also_while_nobody_calls(tmp_path: Path) -> None:
    async with fhir_server(Says({**GRANTED, "expires_in": 2})) as server:
        async with calling(tmp_path, oauth2(tmp_path, server)):
            async with asyncio.timeout(60):
                while len(server.asked) < 3:
                    await asyncio.sleep(0.05)


async def test_neither_secret_nor_token_is_kept_said_or_printed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    async with fhir_server(Says(GRANTED)) as server:
        async with calling(tmp_path, oauth2(tmp_path, server)) as (running, _):
            answer = await running.call(request_of("white-55"))
            rows, printed = str(running.rows()), repr(running.app.state) + repr(vars(running.app.state))
        access = examine_access(load_services(tmp_path / "hooks"), settings_for(tmp_path, tmp_path / "hooks"))
    (tmp_path / "secret").unlink()
    files = b"".join(one.read_bytes() for one in tmp_path.glob("**/*") if one.is_file()).decode("latin-1")
    told = [answer.text, rows, printed, files, running.log.getvalue(), caplog.text, *capfd.readouterr()]
    assert access.clients and access.mistakes == ()
    assert not [text for text in [*told, repr(access)] if SECRET in text or TOKEN in text]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("{kind: api_key}", "needs `secret` for `api_key`"),
        ("{kind: api_key, secret: /a, header: Content-Type}", "no name of a header"),
        ("{kind: api_key, secret: /a, header: 'x key'}", "no name of a header"),
        ("{kind: api_key, secret: /a, issuer: us}", "has `issuer`, not of `api_key`"),
        ("{kind: api_key, secret: /nowhere/key}", "cannot be read"),
        ("{kind: oauth2, client_id: a, secret: /a}", "needs `token_url` for `oauth2`"),
        ("{kind: oauth2, token_url: https://a.example, secret: /a}", "needs `client_id` for `oauth2`"),
        ("{kind: oauth2, token_url: https://a.example, client_id: a}", "needs `secret` or `key`"),
        ("{kind: oauth2, token_url: https://a.example, client_id: a, secret: /a, key: /b}", "and not both"),
        ("{kind: oauth2, token_url: a.example, client_id: a, secret: /a}", "is not an http(s) address"),
        ("{kind: oauth2, token_url: https://a.example, client_id: a, secret: env:NO_SUCH}", "not set"),
        ("{kind: oauth, client_id: a}", "Did you mean `oauth2`?"),
    ],
)
async def test_what_could_not_work_is_refused_with_its_line(lines: str, words: str, tmp_path: Path) -> None:
    replacements = with_vendor(f"  authentication:\n    {lines}")
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/x", **replacements)
    with pytest.raises(ConfigurationRefused) as refused:
        async with wrapper(tmp_path, hooks):
            pass
    (mistake,) = refused.value.mistakes
    text = (hooks / "cvd-risk" / "service.yaml").read_text().splitlines()
    assert words in str(mistake) and mistake.line is not None
    assert "authentication" in text[mistake.line - 1] or "kind:" in text[mistake.line - 1]


async def test_hooks_and_services_that_show_themselves_alike_share_one_token(tmp_path: Path) -> None:
    async with (
        fhir_server(Says(GRANTED)) as server,
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
    ):
        hooks = copy_hooks(tmp_path, vendor.url, **oauth2(tmp_path, server))
        shutil.copytree(hooks / "cvd-risk", hooks / "other")
        file = hooks / "other" / "service.yaml"
        file.write_text(file.read_text().replace("id: cvd-risk", "id: other"))
        async with wrapper(tmp_path, hooks) as running:
            for service in ("cvd-risk", "other"):
                await running.call(request_of("white-55"), service)
        assert len(server.asked) == 1 and len(vendor.heads) == 2


def test_production_fetches_no_token_over_plain_http(tmp_path: Path) -> None:
    lines = with_vendor(
        "  authentication: {kind: oauth2, token_url: http://login.example/t, client_id: us, secret: /a}"
    )
    hooks = copy_hooks(tmp_path, "https://model.example/cds-services/prevent", **lines)
    production = settings_for(tmp_path, hooks, profile=Profile.PRODUCTION)
    found = unsafe(production, load_services(hooks), examine_clients(hooks))
    assert "vendor.authentication.token_url" in {mistake.key for mistake in found}


@pytest.mark.parametrize("is_the_vendors", [True, False])
async def test_our_certificate_is_shown_to_a_token_server_only_on_the_vendors_own_host(
    is_the_vendors: bool, tmp_path: Path
) -> None:
    theirs, ours = Authority(tmp_path, "theirs"), Authority(tmp_path, "ours")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*theirs.issue("127.0.0.1"))
    server.load_verify_locations(ours.certificate)
    server.verify_mode = ssl.CERT_OPTIONAL
    certificate, key = ours.issue("cds-wrapper")
    shown: list[bool] = []

    async def grants(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"client_credentials")
        shown.append(bool(writer.get_extra_info("peercert")))
        await fakes.answers(GRANTED)(writer)
        writer.close()

    async with await asyncio.start_server(grants, "127.0.0.1", 0, ssl=server) as granting:
        own = f"https://127.0.0.1:{granting.sockets[0].getsockname()[1]}"
        lines = with_vendor(
            f"  tls: {{ca: {theirs.certificate}, certificate: {certificate}, key: {key}}}\n"
            f"  authentication: {{kind: oauth2, token_url: '{own}/token', client_id: us,"
            f" secret: {secret_in(tmp_path)}}}"
        )
        vendor = f"{own if is_the_vendors else 'https://127.0.0.1:9'}/cds-services/prevent"
        hooks = copy_hooks(tmp_path, vendor, **lines)
        async with wrapper(tmp_path, hooks, ca_bundle=theirs.certificate):
            assert shown == [is_the_vendors]

"""The real application on loopback-free ASGI, with a real ledger, real hooks/ and a real vendor socket."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import httpx

from cds_wrapper.app import create_app
from cds_wrapper.demo.population import FIXTURE_DAY
from cds_wrapper.demo.supervisor import VENDOR_IN_HOOKS
from cds_wrapper.ledger.pseudonyms import new_keys_file
from cds_wrapper.log import OperatorLog
from cds_wrapper.settings import Profile, Settings
from tests.contract.wire import conforms

ROOT = Path(__file__).parents[2]
NOON = datetime.combine(FIXTURE_DAY, time(12), UTC)
"""The moment every call of these tests comes in: the fixtures' patients have the ages they are named for."""
VENDOR_IN_FILE = f"{VENDOR_IN_HOOKS}cds-services/prevent"
BUDGET_IN_FILE = "time_budget: PT0.5S"
UNHURRIED = {BUDGET_IN_FILE: "time_budget: PT10S", "ledger_reserve: PT0.1S": "ledger_reserve: PT4S"}
"""Half a second is right for a clinician, and short for a machine that does other things besides a test."""
BRIEF = {BUDGET_IN_FILE: "time_budget: PT1.5S", "ledger_reserve: PT0.1S": "ledger_reserve: PT1S"}
"""Replacements for a record that cannot be written: it is given up after a second."""
SILENCE = {BUDGET_IN_FILE: "time_budget: PT4.5S", "ledger_reserve: PT0.1S": "ledger_reserve: PT4S"}
"""Replacements for a vendor that stays silent: it is waited for half a second, and its record has time."""


def copy_hooks(folder: Path, vendor_url: str, **replacements: str) -> Path:
    """A hooks/ of `cvd-risk` alone with another vendor; `replacements` change more of service.yaml.

    An answer has ten seconds instead of half a one, unless a replacement says otherwise.
    """
    hooks = folder / "hooks"
    shutil.copytree(ROOT / "hooks" / "cvd-risk", hooks / "cvd-risk")
    service = hooks / "cvd-risk" / "service.yaml"
    text = service.read_text().replace(VENDOR_IN_FILE, vendor_url)
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    if BUDGET_IN_FILE in text:
        for old, new in UNHURRIED.items():
            text = text.replace(old, new)
    service.write_text(text)
    return hooks


def copy_every_service(folder: Path, vendor: str = VENDOR_IN_HOOKS, **times: str) -> Path:
    """The whole shipped hooks/ with another vendor's server; `times` replace the usual ten seconds."""
    hooks = Path(shutil.copytree(ROOT / "hooks", folder / "hooks"))
    for service in hooks.glob("*/service.yaml"):
        text = service.read_text().replace(VENDOR_IN_HOOKS, vendor)
        for old, new in (times or UNHURRIED).items():
            assert old in text
            text = text.replace(old, new)
        service.write_text(text)
    return hooks


def settings_for(folder: Path, hooks: Path, **overrides: Any) -> Settings:
    """Development settings with a ledger and keys in `folder`."""
    keys = folder / "keys.json"
    if not keys.exists():
        keys.write_bytes(new_keys_file("test1"))
        keys.chmod(0o600)
    usual: dict[str, Any] = {
        "profile": Profile.DEVELOPMENT,
        "hooks": hooks,
        "ledger": f"sqlite:///{folder / 'ledger.db'}",
        "pseudonym_keys": keys,
        "namespace": "https://ehr.example/fhir",
    }
    return Settings(**{**usual, **overrides})


@dataclass
class Wrapper:
    """A running application: a client that plays the EHR, its operator log and its ledger."""

    http: httpx.AsyncClient
    folder: Path
    app: Any
    log: io.StringIO = field(repr=False)

    async def call(self, body: dict[str, Any] | bytes, service: str = "cvd-risk") -> httpx.Response:
        """Send one hook call."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.http.post(
            f"/cds-services/{service}", content=content, headers={"content-type": "application/json"}
        )
        await asyncio.sleep(0)  # the operator is told once the answer is on its way
        return answer

    def rows(self, view: str = "predictions_v1", after: int = 0) -> list[dict[str, Any]]:
        """Every row of a view from a sequence on, in the order of writing."""
        with contextlib.closing(sqlite3.connect(self.folder / "ledger.db")) as database:
            database.row_factory = sqlite3.Row
            asked = f"SELECT * FROM {view} WHERE sequence > ? ORDER BY sequence"
            return [dict(row) for row in database.execute(asked, (after,))]

    def events(self) -> list[dict[str, Any]]:
        """The operator log's lines."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        assert not [line for line in lines if "dropped" in line], (
            "an event was given a field it may not carry"
        )
        return lines


@contextlib.asynccontextmanager
async def wrapper(folder: Path, hooks: Path, **overrides: Any) -> AsyncIterator[Wrapper]:
    """The application, opened and closed as the server would."""
    stream = io.StringIO()
    lines = OperatorLog("test-0", stream)
    app = create_app(settings_for(folder, hooks, **overrides), lines, clock=lambda: NOON)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://cds.example", event_hooks={"response": [conforms]}
        ) as client:
            yield Wrapper(client, folder, app, stream)


async def until_replayed(running: Wrapper) -> None:
    """Return when the ledger is used again and the spool is empty; fail when that takes far too long."""
    async with asyncio.timeout(60):
        while True:
            ready = (await running.http.get("/readyz")).json()
            if ready["ledger"] and not ready["spool_stands_in"]:
                return
            await asyncio.sleep(0.05)


async def until_told(running: Wrapper, *events: str) -> None:
    """Return when the operator was told of each of them; fail when that takes far too long."""
    async with asyncio.timeout(60):
        while not set(events) <= {event["event"] for event in running.events()}:
            await asyncio.sleep(0.05)


def request_of(case: str) -> dict[str, Any]:
    """The full hook call of a named case, as fixtures/ keeps it."""
    body: dict[str, Any] = json.loads((ROOT / "fixtures" / "requests" / f"{case}.json").read_text())
    return body

"""Tells the owner of a plan of findings that are open: a signed message for each service, until it is taken.

What was told stands in a file beside the ledger, with the time and the host; a finding that is not in it is
told by the next review too. So a receiver that is away for a night loses nothing, and one that was told twice
by a kill knows the message by its id. A message names groups, and holds no count and nothing of a patient.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import ssl
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from cds_wrapper.caveats.plan import MonitoringPlan
from cds_wrapper.errors import ConfigurationRefused, Mistake, OutboundTrouble
from cds_wrapper.ledger.edition_values import StoredFinding
from cds_wrapper.outbound import Deadline, Outbound
from cds_wrapper.settings import PREFIX, Profile, Settings

WITHIN: Final = timedelta(seconds=10)
_LARGEST_ANSWER: Final = 64 * 1024
_SHORTEST_KEY: Final = 32


@dataclass(frozen=True, slots=True, repr=False)
class Receiver:
    """Whom to tell: address, the secret that both know, and certificates to trust instead of the system's."""

    address: str
    key: bytes
    ca_bundle: str | None = None


def receiver_of(settings: Settings) -> Receiver | None:
    """Who is told; None when nobody is. `ConfigurationRefused` names the setting that is wrong or unsafe."""
    if settings.notify is None:
        return None
    if settings.profile is Profile.PRODUCTION and not settings.notify.startswith("https://"):
        _refuse("NOTIFY", "is plain http, which production does not use: write an https address.")
    if settings.notify_key is None:
        _refuse("NOTIFY_KEY", "is not set: a receiver could not tell our messages from others.")
    bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    try:
        ssl.create_default_context(cafile=bundle)
    except OSError as error:
        _refuse("CA_BUNDLE", f"names {bundle}, which holds no certificates: {_what(error)}.")
    return Receiver(settings.notify, _key_in(settings.notify_key), bundle)


def mistaken_receiver(settings: Settings) -> tuple[Mistake, ...]:
    """What is wrong with the settings that say who is told."""
    try:
        receiver_of(settings)
    except ConfigurationRefused as refused:
        return refused.mistakes
    return ()


def _key_in(path: Path) -> bytes:
    try:
        mode, key = stat.S_IMODE(path.stat().st_mode), path.read_bytes().strip()
    except OSError as error:
        _refuse("NOTIFY_KEY", f"names {path}, which cannot be read ({_what(error)}): give it to this user.")
    if mode & 0o077:
        _refuse("NOTIFY_KEY", f"names {path}, which others can read: `chmod 600` it.")
    if len(key) < _SHORTEST_KEY:
        _refuse("NOTIFY_KEY", f"names {path}, which holds fewer than {_SHORTEST_KEY} bytes: make a new one.")
    return key


def _what(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _refuse(name: str, problem: str) -> NoReturn:
    raise ConfigurationRefused((Mistake("environment", None, None, f"{PREFIX}{name}", problem),))


def message_of(
    service_id: str, plan: MonitoringPlan, findings: Sequence[StoredFinding], now: datetime
) -> bytes:
    """The findings as JSON: which, what about, which way, since and until when, and whose they are. Pure."""
    told = [
        {
            "id": one.finding_id,
            "kind": one.kind,
            "groups": {name: list(levels) for name, levels in one.groups.items()},
            "direction": one.direction,
            "outcome": one.outcome,
            "since": one.since.isoformat(),
            "act_by": one.detail.get("due"),
        }
        for one in findings
    ]
    data = {"service": service_id, "owner": plan.owner, "findings": told}
    document = {"type": "findings.open", "timestamp": now.isoformat(timespec="seconds"), "data": data}
    return json.dumps(document, separators=(",", ":")).encode()


def headers_of(key: bytes, message: bytes, names: Sequence[str], now: datetime) -> Mapping[str, str]:
    """Id, time and signature as Standard Webhooks 1.0.0 writes them; the same findings have the same id."""
    name = f"msg_{hashlib.sha256(' '.join(names).encode()).hexdigest()[:24]}"
    at = str(int(now.timestamp()))
    signed = hmac.digest(key, b".".join((name.encode(), at.encode(), message)), "sha256")
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}


class Notices:
    """What was told, in a file beside the ledger; one that cannot be read is begun anew."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}.told")

    def untold(self, service_id: str, findings: Sequence[StoredFinding]) -> list[StoredFinding]:
        """Those that no receiver has taken."""
        told = self._read()
        return [one for one in findings if _name(service_id, one) not in told]

    def add(self, service_id: str, findings: Sequence[StoredFinding], receiver: Receiver) -> None:
        """They were taken."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        host = urlsplit(receiver.address).hostname
        told = self._read() | {_name(service_id, one): {"at": at, "to": host} for one in findings}
        making = self._path.with_name(f"{self._path.name}.making")
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        making.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _name(service_id: str, one: StoredFinding) -> str:
    return f"{service_id} {one.finding_id}"


def tell(
    receiver: Receiver,
    service_id: str,
    plan: MonitoringPlan,
    findings: Sequence[StoredFinding],
    clock: Callable[[], datetime],
) -> str | None:
    """Send one message and wait for its answer; None when it was taken, else why not, in one word."""
    now = clock()
    message = message_of(service_id, plan, findings, now)
    names = [_name(service_id, one) for one in findings]
    return asyncio.run(_sent(receiver, message, headers_of(receiver.key, message, names, now)))


async def _sent(receiver: Receiver, message: bytes, headers: Mapping[str, str]) -> str | None:
    outbound = Outbound(receiver.ca_bundle)
    await outbound.open()
    try:
        deadline = Deadline.after(WITHIN)
        answer = await outbound.post_json(receiver.address, message, deadline, _LARGEST_ANSWER, headers)
    except OutboundTrouble as error:
        return error.kind.value
    finally:
        await outbound.close()
    return None if 200 <= answer.status < 300 else f"http_{answer.status}"

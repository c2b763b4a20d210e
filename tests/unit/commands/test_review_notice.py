"""Findings that are open reach the owner's address: signed, without a count, and until they were taken."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_wrapper.commands.review import _told, _told_of
from cds_wrapper.commands.review_notice import (
    Receiver,
    headers_of,
    message_of,
    mistaken_receiver,
    receiver_of,
)
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.editions import close_finding, record_review
from cds_wrapper.monitoring.review import Place
from cds_wrapper.settings import Settings
from tests import fakes
from tests.ports import free_port
from tests.unit.commands.loop import SERVICE
from tests.unit.commands.test_findings import FINDING, SUBJECT
from tests.unit.ledger.test_editions import review

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
KEY = b"a secret of thirty-two bytes or more"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    prepare(path)
    two = replace(FINDING, finding_id="here-2", groups={})
    record_review(path, replace(review(1), subject=SUBJECT), [FINDING, two])
    return path


async def told(ledger: Path, address: str) -> tuple[bool, list[tuple[str, int, str]]]:
    """Whether nothing is left to tell, and what the operator's log says of it."""
    said = io.StringIO()
    with redirect_stderr(said):
        done = await asyncio.to_thread(_told_of, ledger, SERVICE, Receiver(address, KEY))
    lines = [json.loads(line) for line in said.getvalue().splitlines() if line.startswith("{")]
    return done, [(line["event"], line["findings"], line.get("reason", "")) for line in lines]


def head_of(vendor: fakes.FakeVendor, place: int = -1) -> Mapping[str, str]:
    lines = [line.split(": ", 1) for line in vendor.heads[place].splitlines()[1:] if line]
    return {name.lower(): value for name, value in lines}


async def test_the_owner_is_told_once_of_each_finding_and_can_check_who_says_so(ledger: Path) -> None:
    async with fakes.running(fakes.answers(status=204, body=b""), strict=False) as receiver:
        assert await told(ledger, receiver.url) == (True, [("findings_told", 2, "")])
        assert await told(ledger, receiver.url) == (True, [])
        record_review(ledger, replace(review(2), subject=SUBJECT), [replace(FINDING, finding_id="here-3")])
        await told(ledger, receiver.url)
    first, second = receiver.asked
    assert first["data"]["service"] == SERVICE.id and first["data"]["owner"] == SERVICE.plan.monitoring.owner
    assert [one["id"] for one in first["data"]["findings"]] == ["here-1", "here-2"]
    assert first["data"]["findings"][0] == {
        "id": "here-1",
        "kind": "group_drift",
        "groups": {"age_band": ["60-79"], "race": ["black"]},
        "direction": "scores_too_low",
        "outcome": "readmission",
        "since": "2026-09-30",
        "act_by": "2026-10-14",
    }
    assert [one["id"] for one in second["data"]["findings"]] == ["here-3"]
    head = head_of(receiver, 0)
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + receiver.bodies[0]
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert head["webhook-signature"] == f"v1,{expected}"
    assert head_of(receiver)["webhook-id"] != head["webhook-id"]
    noted = json.loads(ledger.with_name("ledger.db.told").read_bytes())
    assert set(noted) == {f"{SERVICE.id} here-{number}" for number in (1, 2, 3)}
    assert {one["to"] for one in noted.values()} == {"127.0.0.1"}


async def test_a_receiver_that_takes_nothing_is_told_again_by_the_next_review(ledger: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    assert await told(ledger, nobody) == (False, [("findings_not_told", 2, "refused_connection")])
    for status in (500, 302):
        async with fakes.running(fakes.answers(status=status, body=b""), strict=False) as failing:
            done, events = await told(ledger, failing.url)
        assert not done and events == [("findings_not_told", 2, f"http_{status}")]
    ids = [head_of(failing)["webhook-id"]]
    close_finding(ledger, "here-2", "owner", "chair", "explained")
    async with fakes.running(fakes.answers(status=200, body=b"{}"), strict=False) as receiver:
        assert await told(ledger, receiver.url) == (True, [("findings_told", 1, "")])
    ids.append(head_of(receiver)["webhook-id"])
    assert len(set(ids)) == 2, "other findings are another message"


def test_the_same_findings_are_the_same_message_whenever_they_are_told() -> None:
    later = NOW.replace(hour=7)
    one, two = (headers_of(KEY, message_of("s", SERVICE.plan.monitoring, [FINDING], at), ["s here-1"], at)
                for at in (NOW, later))  # fmt: skip
    assert one["webhook-id"] == two["webhook-id"] and one["webhook-signature"] != two["webhook-signature"]


def test_a_message_holds_no_count_and_no_sentence_with_figures() -> None:
    message = message_of("s", SERVICE.plan.monitoring, [FINDING], NOW).decode()
    assert "1.70 times" not in message and "rang" not in message


def settings(folder: Path, key: bytes | None = KEY, mode: int = 0o600, **given: str) -> Settings:
    path = folder / "notify.key"
    if key is not None:
        path.write_bytes(key)
        path.chmod(mode)
        given = {"notify_key": str(path), **given}
    return Settings.model_validate({"notify": "https://alerts.example.org/cds", **given})


def test_who_is_told_needs_a_secret_and_in_production_https(tmp_path: Path) -> None:
    found = receiver_of(settings(tmp_path))
    assert found is not None and found.address == "https://alerts.example.org/cds" and found.key == KEY
    assert KEY.decode() not in repr(found)
    assert receiver_of(Settings()) is None
    plain = "http://127.0.0.1:9/"
    assert receiver_of(settings(tmp_path, profile="development", notify=plain)) is not None
    for refused in (
        settings(tmp_path, notify=plain),
        settings(tmp_path, None),
        settings(tmp_path, b"short"),
        settings(tmp_path, mode=0o644),
    ):
        with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_NOTIFY"):
            receiver_of(refused)


def test_a_key_or_certificates_that_cannot_be_read_are_named_as_the_setting_that_they_are(
    tmp_path: Path,
) -> None:
    lost, none = settings(tmp_path), tmp_path / "none.pem"
    none.write_text("no certificate", encoding="utf-8")
    (mistake,) = mistaken_receiver(settings(tmp_path, ca_bundle=str(none)))
    assert mistake.key == "CDS_WRAPPER_CA_BUNDLE" and str(none) in mistake.problem
    (tmp_path / "notify.key").unlink()
    (mistake,) = mistaken_receiver(lost)
    assert mistake.key == "CDS_WRAPPER_NOTIFY_KEY" and "No such file" in mistake.problem
    assert mistaken_receiver(Settings()) == ()


def test_an_owner_who_cannot_be_told_is_told_of_and_keeps_no_other_from_being_told(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.with_name("ledger.db.told").mkdir()
    codes = list(
        _told(Place(ledger, ledger.parent), [SERVICE, SERVICE], Receiver("http://127.0.0.1:9/", KEY))
    )
    assert codes == [2, 2]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "ledger.db.told" in said[0] and "The next review tells it." in said[0]

"""Plays a synthetic year through the program itself: every discharge is a call that the heart answers.

Nothing is written beside the program: the ledger holds afterwards what a year of calls would have left, but
for the moments at which its rows were written. The vendor is the demonstration's model without a socket.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch, read_request
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.demo import mlflow_scoring
from cds_wrapper.demo.population import Draw
from cds_wrapper.demo.readmission import ReadmissionModel
from cds_wrapper.demo.year_lives import Discharge, Year
from cds_wrapper.demo.year_resources import discharge_call, encounters, patients
from cds_wrapper.invocation import answer
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.outbound import Answer, Deadline
from cds_wrapper.runtime import Reply, Runtime
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.guard import Guarded
from cds_wrapper.vendors.rest_json import RestJSONVendor

SERVICE: Final = "readmission"
_AT_ONCE: Final = 64
_FAILED_SHARE: Final = 0.004
_FEEDBACK_WAIT: Final = timedelta(seconds=30)
_REASONS: Final = "http://terminology.example.org/override-reasons"
_OVERRIDES: Final = (
    ("not-applicable", "Patient is followed up elsewhere"),
    ("disagree", "I do not trust this result"),
)


class VendorAtHand:
    """The readmission model asked in MLflow's form, in this process; now and then it does not answer."""

    def __init__(self, vendor: RestJSONVendor, model: ReadmissionModel, draw: Draw) -> None:
        self._vendor, self._model, self._draw = vendor, model, draw

    async def predict(
        self, request: CDSRequest, prefetch: Prefetch, features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Score the inputs the adapter would send, and read the answer as it would be read."""
        bare, body = self._vendor.bare, self._vendor.form.body
        inputs = bare.inputs(features)
        if isinstance(inputs, NoPrediction):
            return inputs
        if body is None or self._draw.chance(_FAILED_SHARE):
            return bare.nothing(Status.TIMED_OUT, VendorCall(400.0, None, 1))
        began = perf_counter()
        sent = msgspec.json.encode(body.fill(inputs))
        status, document = mlflow_scoring.invoke(self._model, sent)
        came = msgspec.json.encode(document)
        cost = VendorCall((perf_counter() - began) * 1000, status, 1, len(sent), len(came))
        return self._vendor.read(Answer(status, came), cost, {}, request.received_at)


def runtime_of_the_year(rt: Runtime, model: ReadmissionModel, seed: int) -> Runtime:
    """The same runtime with the vendor at hand, and without the readers and the counts of the living one."""
    draw = Draw(random.Random(seed))  # noqa: S311 - a reproducible year is the point
    vendors = {
        key: VendorAtHand(vendor.vendor, model, draw)
        for key, vendor in rt.vendors.items()
        if isinstance(vendor, Guarded) and isinstance(vendor.vendor, RestJSONVendor)
    }
    return replace(rt, vendors=vendors, readers={}, metrics=Metrics(), stream=None)


@dataclass(slots=True)
class Played:
    """What came of it: how many calls were answered, and how many entries of feedback were sent."""

    calls: int = 0
    feedback: int = 0


async def play(
    year: Year,
    rt: Runtime,
    client: TrustedClient,
    base_url: str,
    seed: int,
    told: Callable[[int], None],
) -> Played:
    """Answer every call of the year in order of time; `told` hears how many more are done."""
    service = next(one for one in rt.services.catalog if one.id == SERVICE)
    played, draw = Played(), Draw(random.Random(seed + 1))  # noqa: S311 - as above
    for at in range(0, len(year.discharges), _AT_ONCE):
        together = year.discharges[at : at + _AT_ONCE]
        calls = (_called(asked, year, service, rt, client, base_url) for asked in together)
        replies = await asyncio.gather(*calls)
        said = [
            entry
            for asked, reply in zip(together, replies, strict=True)
            for entry in _feedback(asked, reply, service, client, draw)
        ]
        if said:
            await rt.ledger.append_feedback(said, _FEEDBACK_WAIT)
        played.calls += len(together)
        played.feedback += len(said)
        told(len(together))
    rt.afterwards.do_all()
    return played


async def _called(
    asked: Discharge,
    year: Year,
    service: ServiceDefinition,
    rt: Runtime,
    client: TrustedClient,
    base_url: str,
) -> Reply:
    body = discharge_call(asked, year.profiles[asked.patient], year, base_url)
    return await answer(read_request(body, asked.discharged), client, service, rt, _still_there)


async def _still_there() -> bool:
    return False


def _feedback(
    asked: Discharge, reply: Reply, service: ServiceDefinition, client: TrustedClient, draw: Draw
) -> Iterator[FeedbackEntry]:
    """What the nurse did with a card: mostly for high scores, and not always anything."""
    threshold = service.threshold or 1.0
    for card in reply.cards:
        if not draw.chance(0.85 if asked.risk >= threshold else 0.1):
            continue
        at = asked.discharged + timedelta(minutes=draw.whole(1, 90))
        entry = read_feedback_entry(_raw(card.uuid, at, draw), service.id, client.name, at, client.tenant)
        if isinstance(entry, FeedbackEntry):
            yield entry


def _raw(card: str, at: datetime, draw: Draw) -> dict[str, Any]:
    written: dict[str, Any] = {"card": card, "outcomeTimestamp": at.isoformat(timespec="milliseconds")}
    if draw.chance(0.7):
        return written | {"outcome": "accepted"}
    code, display = draw.pick(_OVERRIDES)
    reason = {"reason": {"code": code, "system": _REASONS, "display": display}}
    return written | {"outcome": "overridden", "overrideReason": reason}


def write_records(year: Year, folder: Path) -> tuple[Path, ...]:
    """The hospital's records of the year as a bulk export: one file for patients, one for stays."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {"Patient.ndjson": patients(year), "Encounter.ndjson": encounters(year)}
    for name, resources in written.items():
        (folder / name).write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in resources))
    return tuple(folder / name for name in written)

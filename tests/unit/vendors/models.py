"""A patient's inputs and a model's declared score, for tests of adapters for bare scores."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jmespath

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState, read_request
from cds_wrapper.outbound import Deadline, Outbound
from cds_wrapper.vendors.base import ScoreKind
from cds_wrapper.vendors.features import Features, IfMissing, Input, InputValue, Lack
from cds_wrapper.vendors.score import ModelPath, ScorePath
from cds_wrapper.vendors.score_only import BareScore, SentValue

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def found(**values: InputValue) -> Features:
    return Features(tuple(an_input(name, value) for name, value in values.items()))


def an_input(name: str, value: InputValue | None, if_missing: IfMissing = IfMissing.REQUIRED) -> Input:
    lack = Lack.NOT_RECORDED if value is None else None
    return Input(name, f"the {name}", "Observation.value", if_missing, value=value, lack=lack)


def omitted(name: str) -> Input:
    return an_input(name, None, IfMissing.OMITTED)


def bare(
    path: str | None = None,
    kind: ScoreKind = ScoreKind.PROBABILITY,
    percent: bool = False,
    highest: float = 1.0,
    version_path: str | None = None,
    stand_ins: Mapping[str, SentValue] | None = None,
) -> BareScore:
    score = ScorePath(jmespath.compile(path) if path else None, kind, percent, 0.0, highest)
    model = ModelPath("readmission", "2026.1", jmespath.compile(version_path) if version_path else None)
    return BareScore(score, model, 0.2, stand_ins or {})


def a_call(**context: Any) -> CDSRequest:
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"patientId": "p1", "userId": "Practitioner/1", **context},
    }
    return read_request(json.dumps(body).encode(), NOW)


def sent(patient: Mapping[str, Any] | None = None, **values: Any) -> Prefetch:
    raw = {key: json.dumps(value).encode() for key, value in values.items()}
    held = json.dumps(patient).encode() if patient is not None else None
    state = PrefetchState.PRESENT if patient is not None else PrefetchState.ABSENT
    return Prefetch(raw, dict.fromkeys(raw, PrefetchState.PRESENT), held, state)


@contextlib.asynccontextmanager
async def a_pool() -> AsyncIterator[Outbound]:
    pool = Outbound()
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def within(seconds: float = 5) -> Deadline:
    return Deadline.after(timedelta(seconds=seconds))

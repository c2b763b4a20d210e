"""A small export of predictions and episodes, as the commands write one: seeded, for counting by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def predictions(n: int = 600, seed: int = 1) -> list[Row]:
    """Predictions of half a year: women are answered less often and with more inputs missing."""
    chance = random.Random(seed)
    return [_prediction(chance, place) for place in range(n)]


def _prediction(chance: random.Random, place: int) -> Row:
    sex = chance.choice(["female", "male", "missing:absent"])
    race = chance.choice(["black", "white"])
    status = chance.choice(["answered", "answered", "timed_out" if sex == "female" else "answered"])
    missing = ["length of stay"] if chance.random() < (0.4 if sex == "female" else 0.1) else []
    age = chance.randrange(60, 7200)
    return {
        "prediction_id": f"p{place}",
        "environment": "test" if place % 50 == 0 else "production",
        "is_test": place % 60 == 1,
        "occurred_at": FIRST + timedelta(hours=7 * place),
        "status": status,
        "disposition": "withhold" if race == "black" and place % 5 == 0 else "show",
        "total_ms": float(chance.randrange(20, 400)),
        "subgroups": json.dumps([f"race={race}", f"sex={sex}", f"race*sex={race}*{sex}", "hidden=x"]),
        "inputs_missing": json.dumps(missing),
        "inputs_doubtful": json.dumps(["glucose"]) if place % 3 == 0 else "[]" if race == "white" else None,
        "inputs": json.dumps({"features": {"stay": {"age_s": age}, "dx": {"missing": "no_value"}}}),
    }


def episodes(n: int = 600, seed: int = 2) -> list[Row]:
    """Episodes in every state, flagged and not, acted on and not."""
    chance = random.Random(seed)
    return [_episode(chance, place) for place in range(n)]


def _episode(chance: random.Random, place: int) -> Row:
    score = round(chance.random() * 0.4, 3)
    state = chance.choice(["event", "no_event", "no_event", "pending", "censored", "unverified"])
    action = chance.choice(["accepted", "overridden", "none"])
    trusted = chance.random() < 0.7
    return {
        "episode_id": f"e{place}",
        "environment": "production",
        "occurred_at": FIRST + timedelta(hours=7 * place),
        "score": score,
        "score_kind": "probability",
        "flagged": score >= 0.2,
        "state": state,
        "label": {"event": 1, "no_event": 0}.get(state),
        "displayed": "shown" if place % 4 else "silent",
        "action": action,
        "override_reason": "need-more-info" if trusted else "recipient-does-not-trust",
        "subgroups": json.dumps([f"sex={chance.choice(['female', 'male'])}", "race=black"]),
    }


def write(folder: Path, dataset: str, rows: Sequence[Row], service: str = "s") -> None:
    """The rows as Parquet by service, in two parts."""
    place = folder / dataset / f"service_id={service}" / "day=2026-01-01"
    place.mkdir(parents=True)
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        table = pa.Table.from_pylist(list(part), schema=_schema(rows))
        pq.write_table(table, place / f"part-w-{number}.parquet")


def _schema(rows: Sequence[Row]) -> Any:
    inferred = pa.Table.from_pylist(list(rows)).schema
    field = inferred.get_field_index("occurred_at")
    return inferred.set(field, pa.field("occurred_at", pa.timestamp("ms", tz="UTC")))


def counted(rows: Iterable[Row]) -> list[Row]:
    """Those that are no test."""
    return [row for row in rows if row["environment"] != "test" and not row.get("is_test")]


def in_group(rows: Iterable[Row], text: str) -> list[Row]:
    """Those of a group; an empty text is everybody."""
    return [row for row in rows if not text or text in json.loads(row["subgroups"])]


def how_many(rows: Iterable[Row], holds: Callable[[Mapping[str, Any]], bool]) -> int:
    return sum(1 for row in rows if holds(row))


def day(row: Row) -> date:
    moment: datetime = row["occurred_at"]
    return moment.date()

"""A synthetic folder of episodes as `export episodes` writes it, of any size, made chunk by chunk.

    python -m cds_wrapper.bench.monitoring_data FOLDER EPISODES GROUPS SEED

A process of its own: what measures it needs none of this.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cds_wrapper.bench.monitoring_population import (
    AS_OF,
    DAYS,
    FIRST_DAY,
    HORIZON,
    MODEL,
    OUTCOME,
    SERVICE,
    THRESHOLD,
    Population,
)
from cds_wrapper.ledger.parquet import episode_schema

CHUNK: Final = 250_000


def write_episodes(folder: Path, population: Population) -> Path:
    """Write the population below `folder`; the same population, the same rows."""
    there = folder / "episodes" / f"service_id={SERVICE}"
    there.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(population.seed)
    with pq.ParquetWriter(there / "part-0.parquet", episode_schema()) as writer:
        for start in range(0, population.rows, CHUNK):
            writer.write_table(_chunk(generator, population, start, min(CHUNK, population.rows - start)))
    return folder / "episodes"


def _chunk(generator: np.random.Generator, population: Population, start: int, rows: int) -> Any:
    """Patients come back anywhere in the file; their levels follow from their number, now and then missing.

    The true risk is above the score in one level of the first attribute, so that there is something to find.
    """
    patient = generator.integers(0, max(1, int(population.rows / population.rows_per_patient)), rows)
    levels = {name: _levels(generator, patient, place) for place, name in enumerate(population.attributes)}
    score = 1 / (1 + np.exp(2.6 - (patient % 997) / 997 - generator.normal(0, 0.9, rows)))
    risk = np.where(levels[population.attributes[0]] == 1, np.minimum(score * 1.4, 1.0), score)
    event = generator.random(rows) < risk
    offset = generator.integers(0, DAYS, rows)
    known = offset + HORIZON < DAYS
    state = np.where(known, np.where(event, 0, 1), 2)
    lost = generator.random(rows)
    state = np.where(known & (lost < 0.03), 3, np.where(known & (lost < 0.05), 4, state))
    names = ("event", "no_event", "pending", "censored", "unverified")
    day = np.datetime64(FIRST_DAY) + offset.astype("timedelta64[D]")
    due = day + np.timedelta64(HORIZON + 1, "D")
    columns = {
        "episode_id": _ids("e", np.arange(start, start + rows)),
        "service_id": _constant(SERVICE, rows),
        "model_id": _constant(MODEL, rows),
        "model_version": _constant("1", rows),
        "site": _named(("north", "south", "east"), patient % 3),
        "environment": _constant("production", rows),
        "patient_key": _ids("p1:", patient * 2_654_435_761 % (1 << 48)),
        "predictions": pa.array(np.ones(rows, dtype=np.int64)),
        "occurred_at": pa.array(day.astype("datetime64[ms]"), pa.timestamp("ms", tz="UTC")),
        "day": pa.array(day, pa.date32()),
        "score": pa.array(score),
        "score_kind": _constant("probability", rows),
        "threshold_id": _constant("high", rows),
        "threshold": pa.array(np.full(rows, THRESHOLD)),
        "flagged": pa.array(score >= THRESHOLD),
        "outcome": _constant(OUTCOME, rows),
        "state": _named(names, state),
        "label": pa.array(np.where(state == 0, 1, 0), mask=state > 1, type=pa.int64()),
        "due_on": pa.array(due, pa.date32()),
        "matured_on": pa.array(due, pa.date32(), mask=state > 1),
        "displayed": _constant("shown", rows),
        "delivery": _constant("sent", rows),
        "action": _named(("none", "accepted", "overridden"), generator.integers(0, 3, rows)),
        "as_of": pa.array(np.full(rows, np.datetime64(AS_OF)), pa.date32()),
        **{name: _named(_names(name), place) for name, place in levels.items()},
    }
    return pa.table(
        [columns.get(field.name, pa.nulls(rows, field.type)) for field in episode_schema()],
        schema=episode_schema(),
    )


def _names(attribute: str) -> tuple[str, ...]:
    return (*(f"{attribute}-{number}" for number in range(4)), "missing:absent")


def _levels(generator: np.random.Generator, patient: NDArray[Any], place: int) -> NDArray[Any]:
    """Four levels of unequal size by patient, and in one row of fifty the level is not on record."""
    spread = (patient * (place * 2 + 7919) // (place + 3)) % 20
    level = np.searchsorted(np.array([10, 16, 19]), spread, side="right")
    return np.where(generator.random(len(patient)) < 0.02, 4, level)


def _named(names: tuple[str, ...], codes: NDArray[Any]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(names)).cast(pa.string())


def _constant(text: str, rows: int) -> Any:
    return _named((text,), np.zeros(rows))


def _ids(prefix: str, numbers: NDArray[Any]) -> Any:
    return pa.array([f"{prefix}{number:016x}" for number in numbers.tolist()])


if __name__ == "__main__":
    write_episodes(Path(sys.argv[1]), Population(int(sys.argv[2]), int(sys.argv[3]), seed=int(sys.argv[4])))

"""A hospital's ledger of a year with its outcomes beside it, by the store's own means: for `review`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from cds_wrapper.commands.table import build
from cds_wrapper.ledger.database import LedgerFile, prepare
from cds_wrapper.ledger.entries import LedgerEntry, Waiting
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcomes import FollowUp, Report, Reported, Row, Subject, import_rows
from cds_wrapper.services import load_services
from tests.service.harness import ROOT
from tests.unit.ledger.examples import attribute, entry

(SERVICE,) = load_services(ROOT / "hooks").of("readmission")
LIVE = datetime(2026, 1, 1, 9, tzinfo=UTC)
AS_OF = date(2026, 12, 31)
PEOPLE = 3000
WORSE = 3.0
"""How much more often black patients come back than their scores say."""


def prediction(number: int, draw: random.Random, **differences: Any) -> LedgerEntry:
    """One patient's discharge: its groups in every place where a record holds them."""
    groups = {
        "age_band": draw.choice(("40-59", "60-79")),
        "sex": draw.choice(("female", "male")),
        "race": draw.choices(("white", "black"), (0.7, 0.3))[0],
    }
    score = draw.uniform(0.03, 0.3)
    usual = {
        "prediction_id": f"call-{number}",
        "service_id": SERVICE.id,
        "hook": SERVICE.hook,
        "environment": "production",
        "occurred_at": LIVE + timedelta(minutes=175 * number),
        "patient_key": f"p1:{number:016x}",
        "patient_fhir_key": f"p1:f{number:015x}",
        "encounter_key": f"e1:{number:016x}",
        "model_id": SERVICE.card.id,
        "model_version": SERVICE.card.version,
        "model_version_source": "configuration",
        "score": score,
        "threshold": SERVICE.threshold,
        "flagged": score >= (SERVICE.threshold or 1),
        "language": None,
        **groups,
        "demographics": {name: attribute(value) for name, value in groups.items()},
        "subgroups": [f"{name}={value}" for name, value in groups.items()],
    }
    return entry(**{**usual, **differences})


def record(ledger: Path, entries: list[LedgerEntry]) -> None:
    """Write predictions as the serving process does."""
    file = LedgerFile(ledger, "host-0")
    file.begin()
    file.add_predictions([Waiting(one, timedelta()) for one in entries])
    file.commit()
    file.discard()


def hospital(folder: Path, people: int = PEOPLE, seed: int = 1) -> Path:
    """A year of discharges and what became of them; the ledger."""
    ledger = folder / "ledger.db"
    prepare(ledger)
    draw = random.Random(seed)
    entries = [prediction(number, draw) for number in range(people)]
    record(ledger, entries)
    rows = list(enumerate(_outcomes(entries, draw), start=1))
    covered = [FollowUp(LIVE.date(), AS_OF + timedelta(days=1))]
    subject = Subject(SERVICE.id, SERVICE.outcome.name, "a file", "csv")
    import_rows(beside(ledger), subject, rows, covered)
    return ledger


def _outcomes(entries: list[LedgerEntry], draw: random.Random) -> Iterator[Row]:
    for one in entries:
        score, race, name, at = (one[key] for key in ("score", "race", "prediction_id", "occurred_at"))
        if draw.random() < min(0.95, float(str(score)) * (WORSE if race == "black" else 1.0)):
            happened = datetime.fromisoformat(str(at)) + timedelta(days=9)
            yield Reported(f"o-{name}", Report.EVENT, prediction_id=str(name), happened_at=happened)


def environment(ledger: Path, hooks: Path = ROOT / "hooks") -> dict[str, str]:
    """The settings of the service that this ledger is of."""
    return {
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_LEDGER": f"sqlite:///{ledger}",
        "CDS_WRAPPER_HOOKS": str(hooks),
    }


def review(ledger: Path, *arguments: str) -> Result:
    """`review` of this service, as an operator runs it; as of the last day unless told otherwise."""
    usual = () if "--as-of" in arguments else ("--as-of", AS_OF.isoformat())
    line = ["review", "--service", SERVICE.id, *usual, *arguments]
    return CliRunner().invoke(build(["findings", "review"]), line, env=environment(ledger))


def content(folder: Path) -> dict[str, bytes]:
    """Every file with what is in it; a reader of a database leaves shared memory and an empty log."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    held = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {name: content for name, content in held.items() if content or not name.endswith("-wal")}

"""What a new edition would change on cards: recorded calls, weighed once with each edition.

Every patient's latest recorded call of the last quarter counts once, with the groups and the score that its
record holds. Nothing is asked of a vendor, and nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from cds_wrapper.caveats.caveat import CaveatLevel
from cds_wrapper.caveats.evidence import EvidenceBook
from cds_wrapper.commands.replay import recorded_features, recorded_prediction
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.monitoring.suppression import FLOOR
from cds_wrapper.patient.demographics import Demographics
from cds_wrapper.services import ServiceDefinition

LOOKED_BACK: Final = timedelta(days=91)
_LATEST: Final = (
    "SELECT * FROM (SELECT p.*, ROW_NUMBER() OVER (PARTITION BY COALESCE(patient_key, patient_fhir_key,"
    " prediction_id) ORDER BY occurred_at DESC, sequence DESC) AS place FROM predictions_v1 p"
    " WHERE service_id = ? AND caveat_level IS NOT NULL AND NOT is_test AND occurred_at >= ?"
    " AND occurred_at < ?) WHERE place = 1"
)


@dataclass(frozen=True, slots=True)
class Preview:
    """Patients by level with the edition in force and with the new one; `changed` have another caveat."""

    before: Mapping[CaveatLevel, int]
    after: Mapping[CaveatLevel, int]
    patients: int
    changed: int
    unreadable: int

    def document(self) -> dict[str, Any]:
        """As plain values; a handful of people is not counted, nor what would give it away."""
        moved = [abs(self.after[level] - self.before[level]) for level in CaveatLevel]
        shown = _may_be_shown([*self.before.values(), *self.after.values(), *moved])
        return {
            "patients": self.patients if self.patients >= FLOOR else None,
            "unreadable": "some" if self.unreadable else "none",
            "changed": self.changed if self.changed == 0 or self.changed >= FLOOR else None,
            "levels": {
                level.value: {
                    "before": _share(self.before[level], self.patients, shown),
                    "after": _share(self.after[level], self.patients, shown),
                }
                for level in CaveatLevel
            },
        }


def _may_be_shown(counts: Iterable[int]) -> bool:
    return all(count == 0 or count >= FLOOR for count in counts)


def _share(count: int, total: int, exactly: bool) -> int | str:
    """The count; where any of them is a handful, all of them are shares in steps of five per cent."""
    if exactly or not total:
        return count
    return f"about {5 * round(20 * count / total)} %"


def preview(
    reader: LedgerReader,
    service: ServiceDefinition,
    editions: tuple[EvidenceBook, EvidenceBook],
    as_of: date,
) -> Preview:
    """Weigh the recorded calls up to a day with both editions; `LedgerUnavailable` without them."""
    since, until = (as_of - LOOKED_BACK).isoformat(), (as_of + timedelta(days=1)).isoformat()
    counts: tuple[Counter[CaveatLevel], Counter[CaveatLevel]] = (Counter(), Counter())
    changed = unreadable = 0
    for row in reader.rows(_LATEST, service.id, since, until):
        try:
            caveats = [_weighed(row, service, book) for book in editions]
        except (KeyError, TypeError, ValueError):
            unreadable += 1
            continue
        for count, caveat in zip(counts, caveats, strict=True):
            count[caveat[0]] += 1
        changed += caveats[0] != caveats[1]
    return Preview(counts[0], counts[1], counts[0].total(), changed, unreadable)


def _weighed(
    row: Mapping[str, Any], service: ServiceDefinition, book: EvidenceBook
) -> tuple[CaveatLevel, tuple[str, ...]]:
    """The level and the reasons of one call with one edition."""
    features = recorded_features(row, service)
    prediction = recorded_prediction(row, service, features)
    subgroups = service.scheme.assign(Demographics.from_record(row["demographics"]))
    caveat = service.policy.weigh(book.about(subgroups, prediction), prediction, features)
    return caveat.level, caveat.texts

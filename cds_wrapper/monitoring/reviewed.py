"""What a review found about one service, and the same as plain values: what the ledger keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cds_wrapper.caveats.evidence import EvidenceBook, LocalEvidence
from cds_wrapper.ledger.edition_values import StoredFinding
from cds_wrapper.monitoring.cells import HiddenFigures
from cds_wrapper.monitoring.findings import FindingKind
from cds_wrapper.monitoring.formulas.restarts import DAYS_PER_MONTH
from cds_wrapper.monitoring.looking import Looked, divisors_of
from cds_wrapper.monitoring.suppression import FLOOR
from cds_wrapper.monitoring.values import Measure, Measured, ServiceFigures
from cds_wrapper.services.definitions import ServiceDefinition


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Everything one review found about one service; `edition` is what it publishes, None if nothing new.

    `dated` is its number among the dated ones. `standing` are all findings that are open, `opened` those that
    this review opens.
    """

    service: ServiceDefinition
    figures: ServiceFigures
    looked: tuple[Looked, ...]
    dated: int | None
    opened: tuple[StoredFinding, ...]
    standing: tuple[StoredFinding, ...]
    local: LocalEvidence
    before: EvidenceBook
    edition: EvidenceBook | None
    episodes: int


def document(done: Reviewed) -> dict[str, Any]:
    """The whole result as plain values; groups with a handful of people keep no figures."""
    figures = done.figures
    hidden = HiddenFigures.of(figures.groups)
    return {
        "service": done.service.id,
        "model": {"id": figures.model_id, "version": figures.model_version},
        "outcome": figures.outcome,
        "threshold": figures.threshold,
        "as_of": figures.as_of.isoformat(),
        "dated_review": done.dated,
        "plan_version": done.service.plan.version,
        "edition": done.edition.edition if done.edition else None,
        "findings": [finding_document(one) for one in done.standing],
        "opened": [one.finding_id for one in done.opened],
        "groups": [_group_document(done, place, hidden) for place in range(len(figures.groups))],
        "divisors": divisors_of(done.looked, figures),
    }


def finding_document(one: StoredFinding) -> dict[str, Any]:
    """One finding: what, how sure, since when, which way, what the plan says."""
    return {
        "id": one.finding_id,
        "kind": one.kind,
        "groups": {name: list(levels) for name, levels in one.groups.items()},
        "exclusive": one.exclusive,
        "outcome": one.outcome,
        "direction": one.direction,
        "since": one.since.isoformat(),
        "what": one.detail.get("what"),
        "sure": one.detail.get("sure"),
        "plan": one.detail.get("plan"),
        "label_mismatch": bool(one.detail.get("label_mismatch")),
        "on_cards": FindingKind(one.kind).carded,
        "closed": None if one.closed_at is None else one.closed_at.date().isoformat(),
    }


def _group_document(done: Reviewed, place: int, hidden: HiddenFigures) -> dict[str, Any]:
    one, looked, result = done.figures.groups[place], done.looked[place], done.local.results[place]
    told: dict[str, Any] = {
        "group": str(one.group),
        "exclusive": one.group.exclusive,
        "grade": result.grade.value,
        "holds_up": result.holds_up,
        "months_to_find": {str(time.ratio): _months(time.from_live) for time in looked.times},
        "months_to_find_after_change": {str(time.ratio): _months(time.after_change) for time in looked.times},
    }
    events, others = one.counts["event"], one.counts["no_event"]
    if min(events, others) < FLOOR or one.group in hidden.outcomes.rates:
        return told | {"figures": None}
    digits = 2 if one.group in hidden.outcomes.counts else 3
    shown = [figure for figure in one.figures if _is_shown(figure, hidden)]
    return told | {"figures": {figure.measure.value: _figure(figure, digits) for figure in shown}}


_SHOWN: Final = frozenset(
    {
        Measure.OE_RATIO,
        Measure.OE_RATIO_TO_REST,
        Measure.AUROC,
        Measure.AUROC_GAP,
        Measure.SENSITIVITY,
        Measure.SENSITIVITY_GAP,
        Measure.PPV,
        Measure.FLAG_RATE,
        Measure.KNOWN_SHARE,
    }
)


def _is_shown(figure: Measured, hidden: HiddenFigures) -> bool:
    """No count stands beside it, yet a report of the same day has the counts it would be taken of."""
    is_hidden = figure.group in hidden.of_measure(figure.measure).rates
    return figure.measure in _SHOWN and figure.value is not None and not is_hidden


def _figure(figure: Measured, digits: int) -> list[float | None]:
    return [None if one is None else round(one, digits) for one in (figure.value, figure.low, figure.high)]


def _months(days: float | None) -> float | None:
    """Months; None: never in the planned life."""
    return None if days is None else round(days / DAYS_PER_MONTH, 1)

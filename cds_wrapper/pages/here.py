"""This hospital's own results on the page behind a card, as far as they may be shown. Pure.

Counts of 1 to 10 are not shown, nor what would give one away; shares are whole per cent. Figures of the group
are given where a card may give them, and the group is named where a card may name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cds_wrapper.caveats.evidence import Estimate, Finding, LocalResult, Metric
from cds_wrapper.pages.published import NOT_SHOWN
from cds_wrapper.pages.small_cells import Cell, hidden_groups, is_few
from cds_wrapper.patient.subgroups import Display
from cds_wrapper.services import ServiceDefinition


@dataclass(frozen=True, slots=True)
class ResultHere:
    """One row: whom it is about, how many, how many in 100 had the event, how many the score foretold."""

    who: str
    n: str
    happened: str
    foretold: str
    ratio: str


@dataclass(frozen=True, slots=True)
class ResultsHere:
    """The rows, the days of the predictions behind them, and whether elsewhere something else was found."""

    rows: tuple[ResultHere, ...] = ()
    period: str = ""
    differs: bool = False


def results_here(service: ServiceDefinition, key: str) -> ResultsHere:
    """Results for everybody, and for the group of the finding that the page is about."""
    here = service.book.contents.here
    if here is None:
        return ResultsHere()
    ratios = [row for row in here.estimates if row.metric is Metric.OE_RATIO]
    finding = next((one for one in service.book.findings if one.id == key and one.where), None)
    hidden = _hidden(ratios)
    rows = [_row(row, "all patients here", row.group in hidden) for row in ratios if not row.where]
    if finding and service.scheme.display_of(finding.where) is not Display.NEVER:
        who = _who(service, finding)
        rows += [_row(row, who, row.group in hidden) for row in ratios if _is_of(row, finding)]
    first, last = here.period
    months = service.wording.terms
    return ResultsHere(
        rows=tuple(rows),
        period=f"{months.day(first)} to {months.day(last)}",
        differs=any(_is_of(one, finding) and one.differs for one in service.book.contents.local)
        if finding
        else False,
    )


def _is_of(one: Estimate | LocalResult, finding: Finding) -> bool:
    return (one.where, one.exclusive) == (finding.where, finding.exclusive)


def _who(service: ServiceDefinition, finding: Finding) -> str:
    """The group by its label where a card may name it."""
    scheme, terms = service.scheme, service.wording.terms
    if scheme.display_of(finding.where) is not Display.SHOW or len(finding.where) != 1:
        return terms.anyone
    ((attribute, levels),) = finding.where.items()
    labels = scheme.attributes[attribute].labels
    return labels.get(levels[0], terms.anyone) if len(levels) == 1 else terms.anyone


def _hidden(ratios: Sequence[Estimate]) -> frozenset[object]:
    """The groups of which nothing is shown, those that would give one of them away included."""
    tables: dict[tuple[bool, tuple[str, ...]], list[Estimate]] = {}
    for row in ratios:
        tables.setdefault((row.exclusive, tuple(sorted(row.where))), []).append(row)
    totals = [row.n for row in ratios if not row.where and row.n is not None]
    return frozenset(
        group
        for (_, attributes), rows in tables.items()
        for group in hidden_groups([_cell(row) for row in rows], totals if attributes else ())
    )


def _cell(row: Estimate) -> Cell:
    return Cell(row.group, row.n, any(is_few(count) for count in _counts(row)))


def _counts(row: Estimate) -> Iterable[float | None]:
    if row.n is None or row.positives is None:
        return (row.n, row.positives)
    return (row.n, row.positives, row.n - row.positives)


def _row(row: Estimate, who: str, is_hidden: bool) -> ResultHere:
    if is_hidden or not row.n or not row.positives or not row.estimate:
        return ResultHere(who, NOT_SHOWN, NOT_SHOWN, NOT_SHOWN, NOT_SHOWN)
    limits = f" ({row.ci[0]:.2f} to {row.ci[1]:.2f})" if row.ci else ""
    return ResultHere(
        who=who,
        n=f"{row.n:,}",
        happened=f"{round(100 * row.positives / row.n)} in 100",
        foretold=f"{round(100 * row.positives / row.estimate / row.n)} in 100",
        ratio=f"{row.estimate:.2f}{limits}",
    )

"""What `measure` found: as JSON with every figure, or as tables with those that are looked at first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from cds_wrapper.monitoring.equal_scores import Among, Compared, Reading
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.grading import grade_of
from cds_wrapper.monitoring.report.cells import Hidden, hidden_figures, hidden_rows
from cds_wrapper.monitoring.suppression import FLOOR, is_small
from cds_wrapper.monitoring.table_file import ReadTable
from cds_wrapper.monitoring.values import (
    Group,
    GroupFigures,
    Measure,
    Measured,
    ServiceFigures,
)
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role

_SHOWN: Final = (
    Measure.EVENT_RATE,
    Measure.OE_RATIO,
    Measure.AUROC,
    Measure.FLAG_RATE,
    Measure.SENSITIVITY,
    Measure.PPV,
    Measure.OE_RATIO_TO_REST,
    Measure.SENSITIVITY_GAP,
)
_OF_FLAGS: Final = frozenset(
    {
        Measure.FLAG_RATE,
        Measure.SENSITIVITY,
        Measure.SPECIFICITY,
        Measure.PPV,
        Measure.NPV,
        Measure.SENSITIVITY_GAP,
        Measure.SPECIFICITY_GAP,
        Measure.PPV_GAP,
        Measure.NET_BENEFIT,
        Measure.OE_FLAGGED,
        Measure.OE_UNFLAGGED,
    }
)
"""Measures from which the people above and below the threshold could be counted."""

_HIDDEN: Final = f"a count below {FLOOR}, or one that would give another away"
_BANDS: Final = "ratio at equal score, quantile bands, clustered by patient"


@dataclass(frozen=True)
class Done:
    """Everything that one run measured; `definitions` say of each outcome which column it is."""

    table: ReadTable
    figures: ServiceFigures
    compared: tuple[Compared, ...]
    outcomes: tuple[Outcome, ...]
    definitions: Mapping[str, str]
    score_kind: str
    has_days: bool

    @property
    def has_need(self) -> bool:
        """Whether anything says what the score is used for, as against what it was trained on."""
        return any(one.role is Role.NEED for one in self.outcomes)

    @property
    def has_event(self) -> bool:
        """Whether there is an outcome that happens or does not."""
        return bool(self.figures.outcome)

    @cached_property
    def hidden(self) -> Hidden:
        """Groups whose events, or others, are few."""
        return hidden_figures(self.figures.groups)

    @cached_property
    def hidden_flags(self) -> Hidden:
        """Groups of whom few are above or below the threshold, with or without an event."""
        if self.figures.threshold is None:
            return Hidden(frozenset(), frozenset())
        return self.hidden | hidden_rows({one.group: _four(one) for one in self.figures.groups})


def _four(one: GroupFigures) -> Mapping[str, int]:
    """Events and others above and below the threshold."""
    events, others = one.counts["event"], one.counts["no_event"]
    rate, found = one.of(Measure.FLAG_RATE), one.of(Measure.SENSITIVITY)
    flagged = round((rate.value or 0) * rate.n) if rate else 0
    above = round((found.value or 0) * found.n) if found else 0
    return {
        "found": above,
        "missed": events - above,
        "false": flagged - above,
        "quiet": others - (flagged - above),
    }


# JSON -------------------------------------------------------------------------------------------------------


def document(done: Done, small_cells: bool) -> dict[str, Any]:
    """Everything, each figure with what is needed to judge it."""
    return {
        "rows": done.table.rows,
        "not_used": dict(done.table.refused),
        "score_kind": done.score_kind,
        "threshold": done.figures.threshold,
        "outcomes": [
            {
                "name": one.name,
                "definition": done.definitions[one.name],
                "kind": one.kind.value,
                "role": one.role.value,
            }
            for one in done.outcomes
        ],
        "checked_against_need": done.has_need,
        "groups": [_group(done, one, small_cells) for one in done.figures.groups],
        "equal_score": [_comparison(done, one, small_cells) for one in done.compared],
        "label_mismatch": [
            {"group": str(one.group), "need": one.outcome, "label": one.label}
            for one in _mismatches(done)
            if small_cells or one.group not in done.hidden.rates
        ],
    }


def _named(group: Group) -> dict[str, Any]:
    return {"group": str(group), "where": dict(group.where), "exclusive": group.exclusive}


def _group(done: Done, one: GroupFigures, small_cells: bool) -> dict[str, Any]:
    if not small_cells and one.group in done.hidden.rates:
        return {**_named(one.group), "hidden": _HIDDEN}
    is_rounded = not small_cells and one.group in done.hidden.counts
    told = {} if is_rounded else {"counts": one.counts, "evidence": grade_of(one).value}
    return {
        **_named(one.group),
        **told,
        "figures": [_figure(done, one, figure, small_cells) for figure in one.figures],
    }


def _figure(done: Done, one: GroupFigures, figure: Measured, small_cells: bool) -> dict[str, Any]:
    said = {
        "measure": figure.measure.value,
        "method": figure.method,
        "outcome": figure.outcome or None,
        "outcome_definition": done.definitions.get(figure.outcome) or None,
        "period": [day.isoformat() for day in figure.period] if done.has_days else None,
        "level": figure.level,
        "design_effect": round(figure.design_effect, 4),
    }
    hidden = done.hidden_flags if figure.measure in _OF_FLAGS else done.hidden
    if not small_cells and one.group in hidden.rates:
        return said | {"state": "hidden", "why_not": _HIDDEN, "value": None, "low": None, "high": None}
    is_rounded = not small_cells and one.group in hidden.counts
    why = figure.why_not.value if figure.why_not else None
    return said | {
        "state": "not_estimable" if figure.value is None else "estimated",
        "why_not": why,
        "value": _rounded(figure.value, is_rounded),
        "low": _rounded(figure.low, is_rounded),
        "high": _rounded(figure.high, is_rounded),
        "n": None if is_rounded else figure.n,
        "events": None if is_rounded or not done.has_event else figure.events,
        "patients": None if is_rounded else figure.patients,
    }


def _rounded(value: float | None, is_rounded: bool) -> float | None:
    return value if value is None or not is_rounded else round(value, 2)


def _comparison(done: Done, one: Compared, small_cells: bool) -> dict[str, Any]:
    said = {
        **_named(one.group),
        "measure": Measure.EQUAL_SCORE_RATIO.value,
        "outcome": one.outcome,
        "outcome_definition": done.definitions[one.outcome],
        "kind": one.kind.value,
        "role": one.role.value,
        "among": one.among.value,
        "method": _BANDS,
        "level": 0.95,
    }
    if not small_cells and _hides(done, one):
        return said | {"state": "hidden", "why_not": _HIDDEN, "value": None, "low": None, "high": None}
    ratio = one.ratio
    said |= {
        "state": "not_estimable" if ratio.value is None else "estimated",
        "why_not": ratio.why_not.value if ratio.why_not else None,
        **_limits(ratio),
        "n": one.n,
        "patients": one.patients,
        "total": one.result.observed,
        "mean": one.result.group_mean,
        "mean_of_others_at_equal_score": one.result.rest_mean,
        "control": one.control,
        "reading": one.reading.value,
        "finding": one.standing.value,
        "label": one.label,
        "over_label": _limits(one.over_label) if one.over_label else None,
        "label_mismatch": one.shows_mismatch,
    }
    if one.costs is not None:
        said["costs"] = {
            "positive": one.costs.positive,
            "share_above_the_0.90_quantile": _limits(one.costs.high_share.ratio),
            "mean_of_log1p": _limits(one.costs.logs.ratio),
            "scales_agree": one.costs.agrees,
        }
    return said


def _limits(figure: Figure) -> dict[str, float | None]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


def _hides(done: Done, one: Compared) -> bool:
    """Whether few people stand behind it, or few of them with or without the outcome."""
    hidden = done.hidden if one.among is Among.ALL else done.hidden_flags
    if one.group in hidden.counts or is_small(one.n):
        return True
    events = round(one.result.observed)
    return one.kind is OutcomeKind.BINARY and (is_small(events) or is_small(one.n - events))


def _mismatches(done: Done) -> Iterator[Compared]:
    return (one for one in done.compared if one.among is Among.ALL and one.shows_mismatch)


# Tables -----------------------------------------------------------------------------------------------------


def show(done: Done, small_cells: bool) -> None:
    """What is looked at first, for people."""
    left = ", ".join(f"{count} {reason}" for reason, count in done.table.refused.items())
    typer.echo(f"{done.table.rows} rows" + (f"; {left}" if left else ""))
    if done.score_kind != "probability":
        typer.echo(f"the score is no probability ({done.score_kind}): nothing is said of O/E or calibration")
    if done.figures.threshold is not None:
        typer.echo(f"flagged from a score of {done.figures.threshold:.6g}")
    console = Console()
    if not console.is_terminal:
        console.width = 260
    console.print(_by_group(done, small_cells))
    if done.compared:
        console.print(_at_equal_score(done, small_cells))
    for sentence in _sentences(done, small_cells):
        typer.echo(sentence)


def _by_group(done: Done, small_cells: bool) -> Table:
    shown = [
        one
        for one in _SHOWN
        if any((found := each.of(one)) and found.value is not None for each in done.figures.groups)
    ]
    page = Table(title="By group", title_justify="left")
    page.add_column("group", no_wrap=True)
    for name in ("n", *(["events", "evidence"] if done.has_event else []), *(one.value for one in shown)):
        page.add_column(name)
    for each in done.figures.groups:
        page.add_row(str(each.group), *_cells(done, each, shown, small_cells))
    return page


def _cells(done: Done, one: GroupFigures, shown: Sequence[Measure], small_cells: bool) -> Iterator[str]:
    is_hidden = not small_cells and one.group in done.hidden.counts
    events = one.counts["event"]
    counts = [str(events + one.counts["no_event"])]
    if done.has_event:
        counts += [str(events), grade_of(one).value]
    yield from (("-" for _ in counts) if is_hidden else counts)
    for measure in shown:
        hidden = done.hidden_flags if measure in _OF_FLAGS else done.hidden
        if not small_cells and one.group in hidden.rates:
            yield "-"
        else:
            places = 2 if not small_cells and one.group in hidden.counts else 3
            yield _written(one.of(measure), places)


def _written(figure: Measured | Figure | None, places: int = 3) -> str:
    if figure is None:
        return ""
    if figure.value is None:
        return figure.why_not.value if figure.why_not else ""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{places}f}"
    return f"{figure.value:.{places}f} ({figure.low:.{places}f} to {figure.high:.{places}f})"


def _at_equal_score(done: Done, small_cells: bool) -> Table:
    page = Table(title="Against others with the same score", title_justify="left")
    page.add_column("group", no_wrap=True)
    for name in (
        "outcome",
        "role",
        "n",
        "mean",
        "others' mean",
        "times theirs",
        "control",
        "over label",
        "reading",
    ):
        page.add_column(name)
    for one in done.compared:
        if one.among is Among.ALL and one.n:
            page.add_row(
                str(one.group), one.outcome, one.role.value, *_compared_cells(done, one, small_cells)
            )
    return page


def _compared_cells(done: Done, one: Compared, small_cells: bool) -> Iterator[str]:
    if not small_cells and _hides(done, one):
        yield from ("-",) * 7
        return
    yield str(one.n)
    yield from (f"{mean:.4g}" for mean in (one.result.group_mean, one.result.rest_mean))
    yield _written(one.ratio)
    yield "" if one.control is None else f"{one.control:.3f}"
    yield _written(one.over_label)
    yield one.reading.value


def _sentences(done: Done, small_cells: bool) -> Iterator[str]:
    for one in _mismatches(done):
        if small_cells or not _hides(done, one):
            value = one.ratio.value or 0.0
            size = "" if one.reading is Reading.CONFIRMED else ", though its size is not settled"
            yield (
                f"label_mismatch: {one.group} has {value:.2f} times the {one.outcome} of others with the same"
                f" score, and {one.label} does not show as much of it{size}"
            )
    if done.compared and not done.has_need:
        yield "not checked against need: name what the score is used for with --further NAME=COLUMN:KIND:need"
    if any(one.reading is Reading.NOT_COMPARABLE for one in done.compared):
        yield (
            "not_comparable: run on the score itself the comparison must give 0.97 to 1.03;"
            " too few others have these scores"
        )
    has_hidden = done.hidden.counts or done.hidden_flags.counts
    if has_hidden and not small_cells:
        yield f"-: {_HIDDEN}; --small-cells shows it to those who may see it."

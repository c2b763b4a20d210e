"""What `measure` found, as plain values: every figure with what is needed to judge it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cds_wrapper.commands.measured import HIDDEN, Done
from cds_wrapper.monitoring.cells import OF_THE_THRESHOLD, hidden_rows
from cds_wrapper.monitoring.equal_scores import MATERIAL, Compared
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.follow_up import censoring_bounds
from cds_wrapper.monitoring.formulas.gaps import adjusted, p_value, read_difference, read_ratio
from cds_wrapper.monitoring.formulas.pooling import Pooled, pooled_shares
from cds_wrapper.monitoring.formulas.proportions import share
from cds_wrapper.monitoring.grading import grade_of
from cds_wrapper.monitoring.row_figures import Band
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measure, Measured, WhyNot

_BANDS: Final = "ratio at equal score, quantile bands, clustered by patient"
_MARGIN: Final = 0.05
"""A gap of a share or an area that matters: a convention, as the 0.80 to 1.25 of a ratio."""

_GAPS: Final = frozenset(
    {Measure.SENSITIVITY_GAP, Measure.SPECIFICITY_GAP, Measure.PPV_GAP, Measure.AUROC_GAP}
)
_PRIMARY: Final = (Measure.OE_RATIO_TO_REST, Measure.SENSITIVITY_GAP, Measure.AUROC_GAP)


def document(done: Done, small_cells: bool) -> dict[str, Any]:
    """Everything, each figure with what is needed to judge it."""
    tests = _tests(done)
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
        "multiplicity": {"tests": len(tests), "method": "Benjamini-Hochberg, for ordering"},
        "groups": [_group(done, one, small_cells, tests) for one in done.figures.groups],
        "pooled_event_rates": list(_pooled(done, small_cells)),
        "equal_score": [_comparison(done, one, small_cells) for one in done.compared],
        "label_mismatch": [
            {"group": str(one.group), "need": one.outcome, "label": one.label}
            for one in done.mismatches
            if small_cells or not done.hides(one)
        ],
    }


def _named(group: Group) -> dict[str, Any]:
    return {"group": str(group), "where": dict(group.where), "exclusive": group.exclusive}


_Tests = Mapping[tuple[Group, Measure], tuple[float, float]]
"""The p value of each primary comparison, alone and adjusted for how many there are."""


def _tests(done: Done) -> _Tests:
    found: dict[tuple[Group, Measure], float] = {}
    for one in done.figures.groups:
        for measure in _PRIMARY:
            figure = one.of(measure)
            p = p_value(_plain(figure), measure is Measure.OE_RATIO_TO_REST) if figure else None
            if p is not None:
                found[one.group, measure] = p
    both = zip(found.values(), adjusted(tuple(found.values()), "fdr_bh"), strict=True)
    return dict(zip(found, both, strict=True))


def _plain(figure: Measured) -> Figure:
    return Figure(figure.value, figure.low, figure.high)


def _group(done: Done, one: GroupFigures, small_cells: bool, tests: _Tests) -> dict[str, Any]:
    if not small_cells and one.group in done.hidden.rates:
        return {**_named(one.group), "hidden": HIDDEN}
    is_rounded = not small_cells and one.group in done.hidden.counts
    told: dict[str, Any] = {}
    if not is_rounded:
        told = {"counts": one.counts, "evidence": grade_of(one).value}
        told |= {"bands": list(_bands(done, one.group, small_cells))} if done.has_event else {}
    figures = []
    for figure in one.figures:
        said = _figure(done, one, figure, small_cells)
        # With everybody's figures, how sure a hidden gap is would give its count away.
        is_hidden = said["state"] == "hidden"
        figures.append(said if is_hidden else said | _judged(figure, tests, is_rounded))
    return {**_named(one.group), **told, "figures": figures}


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
    hidden = done.hidden_flags if figure.measure in OF_THE_THRESHOLD else done.hidden.rates
    if not small_cells and one.group in hidden:
        return said | {"state": "hidden", "why_not": HIDDEN, "value": None, "low": None, "high": None}
    is_rounded = not small_cells and one.group in done.hidden.counts
    said |= {
        "state": "not_estimable" if figure.value is None else "estimated",
        "why_not": figure.why_not.value if figure.why_not else None,
        "value": _rounded(figure.value, is_rounded),
        "low": _rounded(figure.low, is_rounded),
        "high": _rounded(figure.high, is_rounded),
        "n": None if is_rounded else figure.n,
        "events": None if is_rounded or not done.has_event else figure.events,
        "patients": None if is_rounded else figure.patients,
    }
    return said | (_bounds(one, figure) if not is_rounded else {})


def _judged(figure: Measured, tests: _Tests, is_rounded: bool) -> dict[str, Any]:
    """How a gap stands against its margin, and its p value for ordering many."""
    said: dict[str, Any] = {}
    if figure.measure in _GAPS:
        said["reading"] = read_difference(_plain(figure), _MARGIN).value
    elif figure.measure is Measure.OE_RATIO_TO_REST:
        said["reading"] = read_ratio(_plain(figure), *MATERIAL).value
    found = tests.get((figure.group, figure.measure))
    if found is not None and not is_rounded:
        said |= {"p": found[0], "p_adjusted": found[1]}
    return said


def _bounds(one: GroupFigures, figure: Measured) -> dict[str, Any]:
    """The event rate if none, and if all, of those whose outcome is not known had the event."""
    unknown = one.counts["censored"] + one.counts["unverified"]
    if figure.measure is not Measure.EVENT_RATE or not unknown or figure.value is None:
        return {}
    return {"bounds_with_the_unknown": censoring_bounds(figure.events, figure.n, unknown)}


def _bands(done: Done, group: Group, small_cells: bool) -> Iterator[dict[str, Any]]:
    """Events and sum of scores by fixed risk band, and what may be said of a patient in it."""
    bands = done.bands.get(group, ())
    parts = {Group((("band", str(place)),)): _parts(band) for place, band in enumerate(bands)}
    events, others = (sum(one[part] for one in parts.values()) for part in ("event", "no_event"))
    hidden = hidden_rows({EVERYBODY: {"event": events, "no_event": others}, **parts}).counts
    for place, band in enumerate(bands):
        said: dict[str, Any] = {"from": band.low, "to": band.high}
        if not small_cells and Group((("band", str(place)),)) in hidden:
            yield said | {"hidden": HIDDEN}
        else:
            yield said | _band(band)


def _parts(band: Band) -> dict[str, int]:
    events = round(band.cell.events)
    return {"event": events, "no_event": round(band.cell.n) - events}


def _band(band: Band) -> dict[str, Any]:
    cell, told = band.cell, band.statement
    found = share(cell.events, cell.n, WhyNot.NO_ROWS, cell.design_effect)
    return {
        "n": round(cell.n),
        "events": round(cell.events),
        "expected": cell.expected,
        "state": "not_estimable" if found.value is None else "estimated",
        "why_not": found.why_not.value if found.why_not else None,
        **_limits(found),
        "says": told.says.value if told else None,
        "says_it_of": told.cell.basis.value if told else None,
    }


def _pooled(done: Done, small_cells: bool) -> Iterator[dict[str, Any]]:
    """Event rates of one attribute's levels drawn together: they order groups and decide nothing."""
    for attribute in dict.fromkeys(one.group.attribute for one in done.figures.groups):
        levels = [
            one
            for one in done.figures.groups
            if one.group.attribute == attribute and (small_cells or one.group not in done.hidden.counts)
        ]
        rates = [(one.group, one.of(Measure.EVENT_RATE)) for one in levels]
        known = [(group, rate) for group, rate in rates if rate is not None and rate.value is not None]
        found = pooled_shares(
            [rate.events / rate.design_effect for _, rate in known],
            [rate.n / rate.design_effect for _, rate in known],
        )
        if done.has_event and attribute and "*" not in attribute and isinstance(found, Pooled):
            for (group, _), figure in zip(known, found.groups, strict=True):
                yield {**_named(group), **_limits(figure)}


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
    if not small_cells and done.hides(one):
        return said | {"state": "hidden", "why_not": HIDDEN, "value": None, "low": None, "high": None}
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

"""Predicted and seen by band of the score, and what else a figure at the threshold says, by group. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from cds_wrapper.monitoring.report import charts
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN, Block, Chart, Table
from cds_wrapper.monitoring.report.figures import WHY_NOT_SHOWN, Shown, per_cent, why_not
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import attribute_words, capital, group_words
from cds_wrapper.monitoring.report.shares import is_beside
from cds_wrapper.monitoring.report.verdicts import Because, Judged
from cds_wrapper.monitoring.score_bands import ScoreBand
from cds_wrapper.monitoring.suppression import is_small
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measure

PANELS: Final = 9
"""Groups that are drawn: everybody, those that fall short, then the largest."""

LEAST: Final = 0.1
"""The part of everybody's outcomes that each band holds, or it is put together with its neighbour."""

Counts = tuple[int, int]
"""Episodes with the outcome, and without."""


def by_band(known: Known, shown: Shown) -> Iterator[Block]:
    """A chart of the groups that matter most, and a table for all patients and each attribute."""
    single = [one for one in known.activity.bands if len(one.group.where) < 2 and one.group.exclusive]
    if not single:
        return
    single = merged(single, known.service.threshold)
    attributes = dict.fromkeys(one.group.attribute for one in single if one.group.where)
    families = {name: [one for one in single if one.group.attribute in {name, ""}] for name in attributes}
    hidden = frozenset[Group]().union(*(hidden_bands(rows) for rows in families.values()))
    effects = {one.figures.group: _effect(one.figures) for one in shown.judged}
    yield from _chart(single, hidden, effects, known, shown)
    edges = sorted({(one.low, one.high) for one in single if one.group == EVERYBODY})
    yield _table("everybody", "all patients", [EVERYBODY], single, edges, hidden, effects, known)
    for name, rows in families.items():
        groups = list(dict.fromkeys(one.group for one in rows if one.group.where))
        yield _table(name, attribute_words(name), groups, rows, edges, hidden, effects, known)


def _effect(figures: GroupFigures) -> float:
    rate = figures.of(Measure.EVENT_RATE)
    return max(1.0, rate.design_effect) if rate else 1.0


def merged(rows: Sequence[ScoreBand], threshold: float | None) -> list[ScoreBand]:
    """The same in wider bands, each with a tenth of everybody's outcomes; none lies across the threshold."""
    events = {(one.low, one.high): one.events for one in rows if one.group == EVERYBODY}
    edges = sorted(events)
    fewest = sum(events.values()) * LEAST
    while len(edges) > 1:
        few = min(edges, key=lambda edge: events[edge])
        beside = [
            edge
            for edge in edges
            if (edge[1] == few[0] or edge[0] == few[1]) and threshold != max(edge[0], few[0])
        ]
        if events[few] >= fewest or not beside:
            break
        other = min(beside, key=lambda edge: events[edge])
        both = (min(few[0], other[0]), max(few[1], other[1]))
        events[both] = events.pop(few) + events.pop(other)
        edges = sorted(events)
    return [band for low, high in edges for band in _together(rows, low, high)]


def _together(rows: Sequence[ScoreBand], low: float, high: float) -> Iterator[ScoreBand]:
    found: dict[Group, ScoreBand] = {}
    for one in rows:
        if low <= one.low < high:
            before = found.get(one.group, ScoreBand(one.group, low, high, 0, 0, 0.0))
            found[one.group] = ScoreBand(
                one.group,
                low,
                high,
                before.n + one.n,
                before.events + one.events,
                before.expected + one.expected,
            )
    yield from found.values()


def hidden_bands(rows: Sequence[ScoreBand]) -> frozenset[Group]:
    """The groups of one attribute whose bands are not shown; everybody's are among the rows.

    Those with a small count in any band, and then the smallest others, until what is left of everybody
    without the shown ones has no small count in any band either.
    """
    by_group: dict[Group, dict[float, Counts]] = {}
    for one in rows:
        by_group.setdefault(one.group, {})[one.low] = (one.events, one.n - one.events)
    everybody = by_group.pop(EVERYBODY, {})
    hidden = {group for group, bands in by_group.items() if _has_small(bands)}
    open_to_see = sorted(set(by_group) - hidden, key=lambda group: _size(by_group[group]))
    while open_to_see and _has_small(_left(everybody, [by_group[group] for group in open_to_see])):
        hidden.add(open_to_see.pop(0))
    return frozenset(hidden | ({EVERYBODY} if _has_small(everybody) else set()))


def _has_small(bands: Mapping[float, Counts]) -> bool:
    return any(is_small(count) for counts in bands.values() for count in counts)


def _size(bands: Mapping[float, Counts]) -> int:
    return sum(sum(counts) for counts in bands.values())


def _left(everybody: Mapping[float, Counts], shown: Sequence[Mapping[float, Counts]]) -> dict[float, Counts]:
    """What is left of everybody in each band without these groups."""
    nobody = (0, 0)
    return {
        low: (
            events - sum(one.get(low, nobody)[0] for one in shown),
            others - sum(one.get(low, nobody)[1] for one in shown),
        )
        for low, (events, others) in everybody.items()
    }


def _table(
    name: str,
    words: str,
    groups: Sequence[Group],
    rows: Sequence[ScoreBand],
    edges: Sequence[tuple[float, float]],
    hidden: frozenset[Group],
    effects: Mapping[Group, float],
    known: Known,
) -> Table:
    by_place = {(one.group, one.low): one for one in rows}
    return Table(
        name=f"bands-{name}",
        caption=f"Predicted and seen by score, of 100: {words}",
        columns=("Group", *(f"{per_cent(low)} to {per_cent(high)}" for low, high in edges)),
        rows=tuple(
            (
                capital(group_words(group, known.service.scheme)),
                *(_band(by_place.get((group, low)), hidden, effects.get(group, 1.0)) for low, _ in edges),
            )
            for group in groups
        ),
        note=f"Predicted, an arrow, then what came with its range (95 %). {WHY_NOT_SHOWN}",
    )


def _band(one: ScoreBand | None, hidden: frozenset[Group], effect: float) -> str:
    if one is None:
        return "-"
    if one.group in hidden:
        return NOT_SHOWN
    share = one.share(effect)
    if share.value is None or share.low is None or share.high is None:
        return "-"
    low, high = round(100 * share.low), round(100 * share.high)
    return f"{100 * one.predicted:.0f} → {100 * share.value:.0f} ({low} to {high})"


def _chart(
    rows: Sequence[ScoreBand],
    hidden: frozenset[Group],
    effects: Mapping[Group, float],
    known: Known,
    shown: Shown,
) -> Iterator[Block]:
    panels = []
    for group in _drawn(shown.judged, known):
        spots = [
            charts.Spot(one.predicted, share.value, share.low, share.high)
            for one in rows
            if one.group == group and group not in hidden
            for share in (one.share(effects.get(group, 1.0)),)
            if share.value is not None and share.low is not None and share.high is not None
        ]
        if len(spots) > 1:
            panels.append((capital(group_words(group, known.service.scheme)), spots))
    if panels:
        yield Chart(
            name="bands-chart",
            title="Predicted and seen, by score",
            says="One square for each group: further right higher scores, further up more outcomes. On the"
            " dashed line as many came as predicted; above it more, below it fewer. Each mark is one band of"
            " scores, the line through it the range that chance leaves open. The tables below have the"
            " figures.",
            svg=charts.calibration(panels[:PANELS]),
        )


def _drawn(judged: Iterable[Judged], known: Known) -> list[Group]:
    """Everybody, then single groups: those that fall short or point to it, then core ones by size."""
    told = (Because.FINDING, Because.UNDER_REVIEW, Because.MORE_CAME, Because.FEWER_CAME)
    chosen = [
        one
        for one in judged
        if len(one.figures.group.where) < 2 and one.figures.group.exclusive
        if one.because in told or not is_beside(one.figures.group, known)
    ]
    chosen.sort(
        key=lambda one: (
            one.figures.group != EVERYBODY,
            told.index(one.because) if one.because in told else len(told),
            -sum(one.figures.counts.values()),
        )
    )
    return [one.figures.group for one in chosen]


# At the threshold, and the line through the bands -----------------------------------------------------------


def further(slug: str, by: str, rows: Sequence[tuple[str, Judged]], shown: Shown) -> Table:
    """Above and below the threshold apart, calibration slope and net benefit."""
    return Table(
        name=f"further-{slug}",
        caption=f"Above and below the threshold, and what using it brings, {by}",
        columns=(
            "Group",
            f"Flagged, of {shown.out_of:,}",
            "Seen for each predicted, flagged",
            "Seen for each predicted, others",
            "Slope",
            "Level",
            "Net benefit, of 1,000",
            "Flagging everybody, of 1,000",
        ),
        rows=tuple((name, *_further(one.figures, shown)) for name, one in rows),
        note="Slope 1: scores spread as outcomes do; below 1 they are too extreme. Level 0: neither too high"
        " nor too low. Net benefit: alerts that were right, less false ones weighed as the threshold weighs"
        f" them; nobody flagged is 0. {WHY_NOT_SHOWN}",
    )


def _further(figures: GroupFigures, shown: Shown) -> tuple[str, ...]:
    return (
        shown.share(figures, Measure.FLAG_RATE),
        shown.ratio(figures, Measure.OE_FLAGGED),
        shown.ratio(figures, Measure.OE_UNFLAGGED),
        shown.ratio(figures, Measure.CALIBRATION_SLOPE),
        shown.ratio(figures, Measure.CALIBRATION_IN_THE_LARGE),
        _benefit(figures, Measure.NET_BENEFIT, shown),
        _benefit(figures, Measure.FLAG_ALL_BENEFIT, shown),
    )


def _benefit(figures: GroupFigures, measure: Measure, shown: Shown) -> str:
    found = figures.of(measure)
    if figures.group in shown.hidden_for(measure).rates:
        return NOT_SHOWN
    if found is None or found.value is None:
        return why_not(found)
    value = f"{1000 * found.value:+.0f}"
    if found.interval is None:
        return value
    return f"{value} ({1000 * found.interval[0]:+.0f} to {1000 * found.interval[1]:+.0f})"

"""Question 2: how has it done by group since go-live? Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cds_wrapper.monitoring.report import charts
from cds_wrapper.monitoring.report.bands import by_band, further
from cds_wrapper.monitoring.report.blocks import (
    NOT_SHOWN,
    Block,
    Bullets,
    Chart,
    Heading,
    Section,
    Table,
    Terms,
    Words,
)
from cds_wrapper.monitoring.report.figures import WHY_NOT_SHOWN, Shown, people
from cds_wrapper.monitoring.report.judgement import REASONS, TITLES, found_words
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import attribute_words, capital, group_words, period_words
from cds_wrapper.monitoring.report.same_score import same_score
from cds_wrapper.monitoring.report.shares import is_quiet
from cds_wrapper.monitoring.report.verdicts import Because, Judged, Verdict
from cds_wrapper.monitoring.values import GroupFigures, Measure


def how_well(known: Known, shown: Shown | None) -> Section:
    """The section on performance by group."""
    blocks = (
        _blocks(known, shown)
        if shown
        else iter([Words("Not known: nothing has been measured yet.", "notice")])
    )
    return Section("how-well", "2. How has it done by group since go-live?", tuple(blocks))


def _blocks(known: Known, shown: Shown) -> Iterator[Block]:
    yield Words(_what_is_counted(known, shown))
    yield from _what_it_means(known)
    short = [one for one in shown.judged if one.verdict is Verdict.FALLS_SHORT and one.is_own]
    if short:
        yield Heading("Where it falls short")
        yield Bullets(tuple(_sentence(one, known, shown) for one in short))
    for attribute, judged in shown.by_attribute().items():
        yield Heading(f"By {attribute_words(attribute)}" if attribute else "All patients together")
        yield from _attribute(attribute, judged, known, shown)
    yield from _calibration(known, shown)
    yield from same_score(known)


def _calibration(known: Known, shown: Shown) -> Iterator[Block]:
    blocks = tuple(by_band(known, shown))
    if blocks:
        yield Heading("Is a score right wherever it lies?")
        yield from blocks


def _what_is_counted(known: Known, shown: Shown) -> str:
    outcome = known.service.outcome
    horizon = period_words(outcome.horizon)
    figures = shown.everybody.figures
    rate = figures.of(Measure.EVENT_RATE)
    period = f"from {_day(rate.period[0])} to {_day(rate.period[1])}" if rate else "so far"
    return (
        f"The outcome is {outcome.phrase} within {horizon}. Counted are predictions {period} whose {horizon}"
        " are over and whose outcome is known; all others wait and are in no figure."
    )


def _what_it_means(known: Known) -> Iterator[Block]:
    outcome = known.service.outcome
    told = (("How we know of it", outcome.verified_by), ("What it does not show", outcome.known_bias))
    items = tuple((term, text.strip()) for term, text in told if text)
    if items:
        yield Terms(items)


def _day(day: object) -> str:
    return f"{day:%-d %B %Y}"


def _sentence(one: Judged, known: Known, shown: Shown) -> str:
    """A finding in natural frequencies: the group beside all patients, with one denominator."""
    name = capital(group_words(one.figures.group, known.service.scheme))
    said = f"{name}: {found_words(one.found).lower()}." if one.found else f"{name}."
    both = shown.predicted_and_seen(one.figures)
    everybody = shown.predicted_and_seen(shown.everybody.figures)
    if both is None or everybody is None:
        return said
    phrase = known.service.outcome.phrase
    more = f"Of {shown.out_of:,} of them, it predicted {phrase} for {both[0]}; it came for {both[1]}."
    beside = f"Of {shown.out_of:,} of all patients: predicted {everybody[0]}, came {everybody[1]}."
    return f"{said} {more} {beside}{_treatment(one.figures)}"


def _treatment(figures: GroupFigures) -> str:
    above = figures.of(Measure.OE_FLAGGED)
    if above is None or above.high is None or above.high >= 1:
        return ""
    return " Above the threshold fewer events than predicted may reflect treatment."


def _attribute(attribute: str, judged: list[Judged], known: Known, shown: Shown) -> Iterator[Block]:
    scheme = known.service.scheme
    named = [
        (capital(group_words(one.figures.group, scheme)), one) for one in judged if _is_more(one, judged)
    ]
    unseen = [name for name, one in named if one.because is Because.NOBODY]
    rows = [(name, one) for name, one in named if one.because is not Because.NOBODY]
    points = [point for name, one in rows if (point := _point(name, one, shown))]
    slug = attribute.replace("*", "-") or "everybody"
    if attribute and len(points) > 1:
        yield Chart(
            name=f"chart-{slug}",
            title=f"By {attribute_words(attribute)}: outcomes seen for each one predicted",
            says="Each mark is a group; the line is the range that chance leaves open. On the dashed line as"
            " many came as predicted; to its right more (scores too low), to its left fewer. The grey band is"
            " read as about the same.",
            svg=charts.intervals(
                points, "seen for each one predicted", known.service.plan.limits.material, 1.0
            ),
        )
    if rows:
        yield _table(slug, attribute, rows, shown)
        if shown.everybody.figures.of(Measure.FLAG_RATE):
            yield further(slug, _by(attribute), rows, shown)
    if unseen:
        yield Words(f"Nobody yet: {'; '.join(unseen)}. For them nothing is known.")


def _is_more(one: Judged, judged: list[Judged]) -> bool:
    """Whether a group is another one than the same race alone: nobody has a second race where it is not."""
    own = one.figures
    return own.group.exclusive or not any(
        other.figures.group == replace(own.group, exclusive=True) and other.figures.counts == own.counts
        for other in judged
    )


def _point(name: str, one: Judged, shown: Shown) -> charts.Point | None:
    ratio = one.figures.of(Measure.OE_RATIO)
    if one.figures.group in shown.hidden.rates or ratio is None or not ratio.value:
        return None
    if ratio.low is None or ratio.high is None:
        return None
    return charts.Point(name, ratio.value, ratio.low, ratio.high, one.verdict.value)


def _table(slug: str, attribute: str, rows: list[tuple[str, Judged]], shown: Shown) -> Table:
    out_of = f"{shown.out_of:,}"
    return Table(
        name=f"performance-{slug}",
        caption=f"How it did {_by(attribute)}",
        columns=(
            "Group",
            "Answer",
            "Outcomes known",
            f"Predicted, of {out_of}",
            f"Came true, of {out_of}",
            f"Cases found, of {out_of}",
            f"Alerts right, of {out_of}",
            "Seen for each predicted (O/E)",
            "Ordering (C statistic)",
        ),
        rows=tuple(_row(name, one, shown) for name, one in rows),
        note=f"In brackets: the range that chance leaves open (95 %). {WHY_NOT_SHOWN}",
        marks=tuple(one.verdict.value for _, one in rows),
        quiet=tuple(_is_blank(one, shown) for _, one in rows),
    )


def _is_blank(one: Judged, shown: Shown) -> bool:
    """Whether it is one of the many groups of which no figure may be shown, with nothing else to tell."""
    group = one.figures.group
    return is_quiet(group) and group in shown.hidden.rates and one.because is Because.TOO_FEW


def _by(attribute: str) -> str:
    return f"by {attribute_words(attribute)}" if attribute else "for all patients together"


def _row(name: str, one: Judged, shown: Shown) -> tuple[str, ...]:
    figures = one.figures
    known = figures.counts.get("event", 0) + figures.counts.get("no_event", 0)
    both = shown.predicted_and_seen(figures)
    predicted, seen = both or ("-", shown.share(figures, Measure.EVENT_RATE))
    if figures.group in shown.hidden.rates:
        predicted = NOT_SHOWN
    answer = TITLES[one.verdict]
    if one.verdict is Verdict.NOT_KNOWN:
        answer += f": {REASONS[one.because]}"
    return (
        name,
        answer,
        NOT_SHOWN if figures.group in shown.hidden.counts else people(known),
        predicted,
        seen,
        shown.share(figures, Measure.SENSITIVITY),
        shown.share(figures, Measure.PPV),
        shown.ratio(figures, Measure.OE_RATIO),
        shown.ratio(figures, Measure.AUROC),
    )

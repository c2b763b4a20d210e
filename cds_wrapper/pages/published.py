"""A model card's figures in readable form, and which of them a page may name groups of. Pure.

Two readers: the page behind a card names no group that a card may not name; the model's own page, which no
patient leads to, has every figure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from cds_wrapper.caveats.evidence import (
    Estimate,
    EvidenceSource,
    IntervalKind,
    Metric,
    ModelCard,
    State,
    Where,
)
from cds_wrapper.patient.subgroups import Display, SubgroupScheme

SMALLEST_COUNT: Final = 11
"""Counts below it are not shown (CMS cell-size policy)."""

ATTRIBUTES: Final[Mapping[str, str]] = {
    "age_band": "age",
    "sex": "sex",
    "race": "race",
    "ethnicity": "ethnicity",
    "race_ethnicity": "race and ethnicity",
    "language": "language",
    "interpreter_needed": "need for an interpreter",
    "tribal_affiliation": "tribal affiliation",
    "deprivation_quintile": "deprivation of the area",
}
MEASURES: Final[Mapping[Metric, str]] = {
    Metric.AUROC: "C statistic",
    Metric.AUPRC: "Average precision",
    Metric.SENSITIVITY: "Cases found",
    Metric.SPECIFICITY: "Non-cases left alone",
    Metric.PPV: "Alerts that were right",
    Metric.NPV: "Low scores that were right",
    Metric.BRIER: "Brier score",
    Metric.CALIBRATION_SLOPE: "Calibration slope",
    Metric.OE_RATIO: "Events observed for each expected",
    Metric.ALERT_RATE: "Patients above the threshold",
}
SOURCES: Final[Mapping[EvidenceSource, str]] = {
    EvidenceSource.DEVELOPMENT: "the developer",
    EvidenceSource.EXTERNAL: "others, elsewhere",
    EvidenceSource.LOCAL: "this hospital",
}
_LIMITS: Final[Mapping[IntervalKind, str]] = {
    IntervalKind.INTERQUARTILE: "middle half of the data sets",
    IntervalKind.ERROR: "one standard error either way",
}
_NOT_GIVEN: Final[Mapping[State, str]] = {
    State.REPORTED: "reported, without a figure",
    State.NOT_REPORTED: "not reported",
    State.NOT_AVAILABLE: "not available",
    State.NOT_APPLICABLE: "not applicable",
}


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of one study for one group."""

    group: str
    measure: str
    figure: str
    people: str
    until: str
    note: str


@dataclass(frozen=True, slots=True)
class Study:
    """One source and the people it studied, with the figures that may be shown here."""

    cite: str
    who: str
    by: str
    outcome: str
    gives: str
    rows: tuple[FigureRow, ...]


def studies_of(card: ModelCard, scheme: SubgroupScheme, *, all_groups: bool) -> list[Study]:
    """Every source of the card in its order; without `all_groups`, no row that names a hidden group."""
    given = [row for row in card.estimates if row.state is not State.NOT_REPORTED]
    by_source = groupby(given, key=lambda row: (row.cite, row.outcome))
    hidden = frozenset() if all_groups else hidden_names(card.estimates, scheme)
    sources = (list(rows) for _, rows in by_source)
    return [
        _study(rows, [row for row in rows if all_groups or may_name(row.where, scheme)], scheme, hidden)
        for rows in sources
    ]


def _study(
    rows: list[Estimate], shown: list[Estimate], scheme: SubgroupScheme, hidden: frozenset[str]
) -> Study:
    first = rows[0]
    return Study(
        cite=first.cite or "source not named",
        who=without(_people(shown or rows), hidden),
        by=SOURCES[first.source],
        outcome=f"{first.outcome}, within {horizon(first.horizon)}",
        gives=_gives(rows),
        rows=tuple(_row(row, scheme, hidden) for row in shown),
    )


def _people(rows: Iterable[Estimate]) -> str:
    return ", ".join(dict.fromkeys(row.who for row in rows if row.who)) or "people not described"


def _gives(rows: list[Estimate]) -> str:
    measures = ", ".join(dict.fromkeys(MEASURES[row.metric] for row in rows))
    attributes = ", ".join(
        dict.fromkeys(name for row in rows for name in (attribute_name(one) for one in row.where))
    )
    return f"{measures}, by {attributes}" if attributes else f"{measures}, for everybody"


def _row(row: Estimate, scheme: SubgroupScheme, hidden: frozenset[str]) -> FigureRow:
    return FigureRow(
        group=group_name(row.where, scheme, row.as_reported) if row.where else row.who or "everybody",
        measure=MEASURES[row.metric] + (f" at {row.threshold:g}" if row.threshold is not None else ""),
        figure=figure(row),
        people=count(row.n),
        until=str(row.data_ended) if row.data_ended else "",
        note="" if mentions(row.note or "", hidden) else row.note or "",
    )


def figure(row: Estimate) -> str:
    """Estimate and limits, with what the limits are: "0.65 (0.64 to 0.65, 95 % interval)"."""
    if row.estimate is None:
        return _NOT_GIVEN[row.state]
    if row.ci is None:
        return _decimal(row.estimate)
    kind = _LIMITS.get(row.interval_kind, f"{row.level * 100:g} % interval")
    return f"{_decimal(row.estimate)} ({_decimal(row.ci[0])} to {_decimal(row.ci[1])}, {kind})"


def _decimal(number: float) -> str:
    """Three figures, and never fewer than two decimals below 10: 0.794, 0.70, 1.85."""
    written = f"{number:.3g}"
    return written if len(written.partition(".")[2]) > 1 or number >= _TEN else f"{number:.2f}"


_TEN: Final = 10


def count(number: int | None) -> str:
    """A number of people; a small one is not shown."""
    if number is None:
        return ""
    return f"{number:,}" if number >= SMALLEST_COUNT else f"fewer than {SMALLEST_COUNT}"


def may_name(where: Where, scheme: SubgroupScheme) -> bool:
    """Whether a page behind a card may name these groups."""
    return scheme.display_of(where) is Display.SHOW


def attribute_name(name: str) -> str:
    """An attribute in plain words."""
    return ATTRIBUTES.get(name, name.replace("_", " "))


def group_name(where: Where, scheme: SubgroupScheme, as_reported: str | None = None) -> str:
    """Groups in plain words; the source's own word stands for what a label does not say."""
    if not where:
        return as_reported or "everybody"
    parts = [_levels(name, levels, scheme, as_reported) for name, levels in where.items()]
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _levels(name: str, levels: Sequence[str], scheme: SubgroupScheme, as_reported: str | None) -> str:
    """One attribute's groups: by their labels, by the source's own word, or as they are."""
    if name == "age_band" and (span := _ages(levels)):
        return span
    policy = scheme.attributes.get(name)
    labelled = [policy.labels[level] for level in levels if policy and level in policy.labels]
    if labelled:
        return " or ".join(labelled)
    return as_reported or f"{attribute_name(name)}: {', '.join(levels)}"


def _ages(levels: Sequence[str]) -> str | None:
    """Bands that follow one another as one span: 30-39 and 40-49 are "ages 30 to 49"."""
    bands = [re.fullmatch(r"(\d+)-(\d+)", level) for level in levels]
    whole = [(int(band[1]), int(band[2])) for band in bands if band]
    follow = all(last + 1 == first for (_, last), (first, _) in itertools.pairwise(whole))
    return f"ages {whole[0][0]} to {whole[-1][1]}" if len(whole) == len(levels) > 1 and follow else None


def not_found(card: ModelCard, scheme: SubgroupScheme, *, all_groups: bool) -> list[str]:
    """The groups for which results were looked for and not found; hidden ones by their attribute only."""
    found = [
        group_name(row.where, scheme, row.as_reported)
        if all_groups or may_name(row.where, scheme)
        else _some_groups(row.where)
        for row in card.estimates
        if row.state is State.NOT_REPORTED
    ]
    return list(dict.fromkeys(found))


def training_rows(card: ModelCard, scheme: SubgroupScheme) -> list[FigureRow]:
    """How much of the training data each group was."""
    return [
        FigureRow(
            group=group_name(group.where, scheme, group.as_reported),
            measure="",
            figure=f"{group.share * 100:.3g} %" if group.share is not None else "",
            people=count(group.n) or ("" if group.share is not None else _NOT_GIVEN[group.state]),
            until="",
            note=group.cite or "",
        )
        for group in card.training
    ]


def untold_training(card: ModelCard, scheme: SubgroupScheme, *, all_groups: bool) -> list[str]:
    """The groups whose share of the training data the developer does not give."""
    untold = [group for group in card.training if group.state is not State.REPORTED]
    named = [
        group_name(group.where, scheme, group.as_reported)
        if all_groups or may_name(group.where, scheme)
        else _some_groups(group.where)
        for group in untold
    ]
    return list(dict.fromkeys(named))


def _some_groups(where: Where) -> str:
    return "some groups by " + " and ".join(attribute_name(name) for name in where)


def hidden_names(rows: Iterable[Estimate], scheme: SubgroupScheme) -> frozenset[str]:
    """Words by which the card names groups that a card on a screen may not name."""
    reported = (row.as_reported for row in rows if row.as_reported and not may_name(row.where, scheme))
    parts = {part.strip() for words in reported for part in re.split(r"[/,()]", words)}
    return frozenset(part for part in parts if len(part) > 1)


def mentions(text: str, names: frozenset[str]) -> bool:
    """Whether a text holds one of the names as a word of its own."""
    return any(re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) for name in names)


def without(text: str, names: frozenset[str]) -> str:
    """The text, or that it is elsewhere when it names a hidden group."""
    return "described on the model’s own page" if mentions(text, names) else text


def horizon(written: str) -> str:
    """An ISO 8601 duration in words: `P10Y` is "10 years", `P43M` "43 months"."""
    units = {"Y": "year", "M": "month", "W": "week", "D": "day", "H": "hour", "S": "second"}
    date_part, _, time_part = written.removeprefix("P").partition("T")
    pieces = [(number, units[unit]) for number, unit in re.findall(r"(\d+(?:\.\d+)?)([YMWD])", date_part)]
    pieces += [
        (number, "minute" if unit == "M" else units[unit])
        for number, unit in re.findall(r"(\d+(?:\.\d+)?)([HMS])", time_part)
    ]
    return " ".join(f"{number} {unit}{'' if number == '1' else 's'}" for number, unit in pieces) or written

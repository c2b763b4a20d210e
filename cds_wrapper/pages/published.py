"""A model card's figures in readable form, and which of them a page may name groups of. Pure.

Two readers: the page behind a card names no group that a card may not name; the model's own page, which no
patient leads to, has every figure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from cds_wrapper.caveats.evidence import (
    Estimate,
    EvidenceSource,
    IntervalKind,
    Metric,
    ModelCard,
    OutOfScopeRule,
    State,
    TrainingGroup,
    Where,
)
from cds_wrapper.pages.names import ELSEWHERE, hidden_words, mentions, names_somebody, without
from cds_wrapper.pages.small_cells import SMALLEST_COUNT, cell_of, hidden_cells, hidden_training
from cds_wrapper.patient.subgroups import Display, SubgroupScheme

ATTRIBUTES: Final[Mapping[str, str]] = {
    "age_band": "age",
    "sex": "sex",
    "race": "race",
    "ethnicity": "ethnicity",
    "race_ethnicity": "race and ethnicity",
    "language": "language",
    "interpreter_needed": "need for an interpreter",
    "tribal_affiliation": "tribal affiliation",
    "disability": "disability",
    "payer": "payer",
    "deprivation_quintile": "deprivation of the area",
    "rurality": "rurality of the area",
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
NOT_SHOWN: Final = "not shown (small numbers)"
"""Also of a group that is large enough, when a small one could be worked out from it."""

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
    hidden = frozenset() if all_groups else hidden_in(card, scheme)
    small = hidden_cells(given)
    studies = []
    for rows in (list(rows) for _, rows in by_source):
        shown = [row for row in rows if all_groups or may_name(row.where, scheme)]
        figures = tuple(_row(row, scheme, hidden, small) for row in shown)
        studies.append(_study(rows, _people(shown or rows), figures, hidden))
    return studies


def _study(rows: list[Estimate], who: str, figures: tuple[FigureRow, ...], hidden: frozenset[str]) -> Study:
    first = rows[0]
    cite = first.cite or "source not named"
    return Study(
        cite=f"source named {ELSEWHERE}" if mentions(cite, hidden) else cite,
        who=without(who, hidden),
        by=SOURCES[first.source],
        outcome=f"{without(first.outcome, hidden)}, within {horizon(first.horizon)}",
        gives=_gives(rows),
        rows=figures,
    )


def _people(rows: Iterable[Estimate]) -> str:
    return ", ".join(dict.fromkeys(row.who for row in rows if row.who)) or "people not described"


def _gives(rows: list[Estimate]) -> str:
    measures = ", ".join(dict.fromkeys(MEASURES[row.metric] for row in rows))
    attributes = ", ".join(
        dict.fromkeys(name for row in rows for name in (attribute_name(one) for one in row.where))
    )
    return f"{measures}, by {attributes}" if attributes else f"{measures}, for everybody"


def _row(
    row: Estimate, scheme: SubgroupScheme, hidden: frozenset[str], small: frozenset[Hashable]
) -> FigureRow:
    is_small = cell_of(row) in small
    group = group_name(row.where, scheme, row.as_reported) if row.where else row.who or "everybody"
    return FigureRow(
        group=without(group, hidden),
        measure=MEASURES[row.metric] + (f" at {row.threshold:g}" if row.threshold is not None else ""),
        figure=NOT_SHOWN if is_small and row.estimate is not None else figure(row),
        people=_withheld(row.n) if is_small else count(row.n),
        until=str(row.data_ended) if row.data_ended else "",
        note="" if is_small or mentions(row.note or "", hidden) else row.note or "",
    )


def _withheld(number: int | None) -> str:
    """Instead of a number that is small, or from which a small one could be worked out."""
    return count(number) if number is None or number < SMALLEST_COUNT else NOT_SHOWN


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
    """How much of the training data each group was; small groups without their share."""
    small = hidden_training(card.training)
    return [_training_row(group, scheme, place in small) for place, group in enumerate(card.training)]


def _training_row(group: TrainingGroup, scheme: SubgroupScheme, is_small: bool) -> FigureRow:
    share = f"{group.share * 100:.3g} %" if group.share is not None else ""
    people = count(group.n) or ("" if group.share is not None else _NOT_GIVEN[group.state])
    return FigureRow(
        group=group_name(group.where, scheme, group.as_reported),
        measure="",
        figure=NOT_SHOWN if is_small and share else share,
        people=_withheld(group.n) if is_small else people,
        until="",
        note=group.cite or "",
    )


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


def may_say(rule: OutOfScopeRule, scheme: SubgroupScheme, hidden: frozenset[str]) -> bool:
    """Whether a page behind a card may repeat whom the developer advises against scoring."""
    return may_name(rule.where, scheme) and not mentions(rule.say, hidden)


def hidden_in(card: ModelCard, scheme: SubgroupScheme) -> frozenset[str]:
    """Every word by which a card's texts could name a group that a card on a screen may not name."""
    rules = (rule.where for rule in card.out_of_scope)
    return hidden_names((*card.estimates, *card.training), scheme) | hidden_words(rules, scheme)


def hidden_names(rows: Iterable[Estimate | TrainingGroup], scheme: SubgroupScheme) -> frozenset[str]:
    """The names of hidden groups: as these rows report them, by their level, label and common names."""
    hidden = [row for row in rows if not may_name(row.where, scheme)]
    reported = (part.strip() for row in hidden for part in re.split(r"[/,()]", row.as_reported or ""))
    named = frozenset(part for part in reported if names_somebody(part))
    return named | hidden_words((row.where for row in hidden), scheme)


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

"""Question 1: how was it trained and on whom, and are our patients like them? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cds_wrapper.caveats.evidence import ModelCard, State
from cds_wrapper.monitoring.cells import Hidden, hidden_rows
from cds_wrapper.monitoring.drift import AttributeShares, LevelShare, MissingShare, Presence
from cds_wrapper.monitoring.formulas.representativeness import Comparison
from cds_wrapper.monitoring.populations import Kind
from cds_wrapper.monitoring.report import charts
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
from cds_wrapper.monitoring.report.figures import WHY_NOT_SHOWN, people, per_cent
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import (
    attribute_words,
    capital,
    level_words,
    listed,
    missing_words,
)
from cds_wrapper.monitoring.values import Group
from cds_wrapper.patient.subgroups import SubgroupScheme

_FACTS: Final[Mapping[str, str]] = {
    "purpose.intended_use": "What it is for",
    "purpose.population": "Whom it is meant for",
    "training.criteria": "How it was trained",
    "training.period": "Data of",
    "training.sites": "Where",
    "training.n": "How many people",
    "training.relevance": "How well that fits its use, by the developer",
    "out_of_scope.known_risks": "Known risks",
    "fairness.approach": "What was done about differences between groups",
    "external.party": "Who tested it independently",
}
_UNSAID: Final[Mapping[State, str]] = {
    State.NOT_REPORTED: "The developer does not say.",
    State.NOT_AVAILABLE: "Not available.",
    State.NOT_APPLICABLE: "Does not apply.",
}
PRESENCE: Final[Mapping[Presence, str]] = {
    Presence.COMPARABLE: "about the same share",
    Presence.MORE_HERE: "more of them here",
    Presence.FEWER_HERE: "fewer of them here",
    Presence.HARDLY_REPRESENTED: "hardly represented",
    Presence.NOT_REPRESENTED: "not represented",
    Presence.NOT_REPORTED: "not reported by the vendor",
    Presence.NONE_HERE: "nobody here",
}
_SAID: Final[Mapping[Presence, str]] = {
    Presence.NOT_REPRESENTED: "Not represented: the training data had nobody of them",
    Presence.HARDLY_REPRESENTED: "Hardly represented, with less than a fifth of their share here",
    Presence.NOT_REPORTED: "Not reported by the vendor, so that nobody knows whether they were in the data",
    Presence.MORE_HERE: "More of them here than in the training data",
    Presence.FEWER_HERE: "Fewer of them here than in the training data",
}


def whom(known: Known) -> Section:
    """The section on training and representativeness."""
    return Section(
        "whom",
        "1. How was it trained and on whom, and are our patients like them?",
        (*_trained(known.service.card), *_alike(known), *_missing(known)),
    )


def _trained(card: ModelCard) -> Iterator[Block]:
    yield Terms(tuple(_fact(card, key, label) for key, label in _FACTS.items()))
    own = [one.name for one in card.inputs if one.is_demographic]
    calculated = listed([one.name for one in card.inputs])
    personal = (
        f"Of these, {listed(own)} say who the person is." if own else "None of these says who the person is."
    )
    if card.inputs:
        yield Words(f"It is calculated from {calculated}. {personal}")
    rules = tuple(
        capital(f"{rule.say}: the developer advises against the score.") for rule in card.out_of_scope
    )
    if rules:
        yield Bullets(rules)


def _fact(card: ModelCard, key: str, label: str) -> tuple[str, str]:
    fact = card.facts.get(key)
    if fact is None:
        return label, _UNSAID[State.NOT_REPORTED]
    return label, fact.value or _UNSAID.get(fact.state, _UNSAID[State.NOT_REPORTED])


def _alike(known: Known) -> Iterator[Block]:
    yield Heading("Are our patients like them?")
    rows = known.activity.representativeness
    training = [one for one in rows if one.population.kind is Kind.TRAINING]
    if not training:
        yield Words("Not known: no patients of ours have been counted yet.", "notice")
    else:
        yield Bullets(tuple(_in_words(training, known.service.scheme)))
    outside = [one for one in rows if one.population.kind is not Kind.LAST_QUARTER]
    yield from _tables(outside, known.service.scheme)
    yield from _since_last_quarter(rows, known.service.scheme)


def _since_last_quarter(rows: Iterable[AttributeShares], scheme: SubgroupScheme) -> Iterator[Block]:
    """Who came this quarter beside the quarter before: tables for what differs, the rest in a sentence."""
    rows = [one for one in rows if one.population.kind is Kind.LAST_QUARTER]
    if not rows:
        return
    yield Heading("Have our patients changed since the quarter before?")
    shifted = [one for one in rows if one.shifted]
    alike = listed([attribute_words(one.attribute) for one in rows if not one.shifted])
    if shifted:
        yield Words(
            f"They differ by {listed([attribute_words(one.attribute) for one in shifted])}.", "notice"
        )
    if alike:
        yield Words(f"About alike by {alike}.")
    yield from _tables(shifted, scheme)


def _in_words(rows: Iterable[AttributeShares], scheme: SubgroupScheme) -> Iterator[str]:
    """What differs, worst first, with the groups named; attributes that nobody reported in one line."""
    silent = [
        one.attribute for one in rows if all(row.presence is Presence.NOT_REPORTED for row in one.levels)
    ]
    told = [row for one in rows if one.attribute not in silent for row in one.levels]
    for presence, words in _SAID.items():
        named = [_name(row, scheme) for row in told if row.presence is presence and row.count]
        if named:
            yield f"{words}: {listed(named)}."
    if silent:
        names = listed([attribute_words(one) for one in silent])
        yield f"Not reported by the vendor at all: {names}. Nobody told us who was in the data by these."


def _name(row: LevelShare, scheme: SubgroupScheme) -> str:
    return " or ".join(level_words(row.attribute, level, scheme) for level in row.levels)


def _tables(rows: Iterable[AttributeShares], scheme: SubgroupScheme) -> Iterator[Block]:
    for number, one in enumerate(rows):
        if all(row.presence is Presence.NOT_REPORTED for row in one.levels):
            continue
        hidden = hidden_rows({row.group: {"people": row.count} for row in one.levels})
        there = _there(one)
        name = f"{one.population.kind.value}-{one.attribute}-{number}"
        if one.population.kind is Kind.TRAINING:
            yield from _chart(one, hidden, scheme, name)
        yield Table(
            name=name,
            caption=f"{capital(attribute_words(one.attribute))}: patients here and in {one.population.name}",
            columns=("Group", "Episodes here", "Share here", there, "Ratio (95 % range)", "In words"),
            rows=tuple(
                _row(row, hidden, one.population.kind, scheme) for row in one.levels if _is_there(row)
            ),
            note=f"{_distance(one)} {WHY_NOT_SHOWN}",
        )


def _is_there(row: LevelShare) -> bool:
    """Whether there is anybody, here or there; of whom nobody says anything, somebody here."""
    return bool(row.count or row.other_share) or row.presence is Presence.NOT_REPORTED


def _there(one: AttributeShares) -> str:
    kind = one.population.kind
    return {Kind.TRAINING: "Share in training", Kind.EXTERNAL: "Share in the study"}.get(kind, "Share before")


def _row(row: LevelShare, hidden: Hidden, kind: Kind, scheme: SubgroupScheme) -> tuple[str, ...]:
    other = "not reported" if row.other_share is None else per_cent(row.other_share)
    words = PRESENCE[row.presence]
    if kind is Kind.LAST_QUARTER and row.presence is Presence.NOT_REPORTED:
        other, words = "0 %", "new here"
    name = capital(_name(row, scheme))
    if row.group in hidden.rates:
        return name, NOT_SHOWN, NOT_SHOWN, other, NOT_SHOWN, words
    if row.group in hidden.counts:
        return name, NOT_SHOWN, per_cent(row.share), other, NOT_SHOWN, words
    ratio = row.ratio
    value = "-" if ratio.value is None else f"{ratio.value:.2f}"
    if ratio.low is not None and ratio.high is not None:
        value += f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return name, people(row.count), per_cent(row.share), other, value, words


def _distance(one: AttributeShares) -> str:
    """The two figures for the attribute as a whole, for those who know them."""
    found = one.comparison
    if not isinstance(found, Comparison):
        return "No figure for the attribute as a whole: a group is missing on one side, and none is made up."
    shifted = "differ" if one.shifted else "are about alike"
    return (
        f"As a whole the two {shifted}: standardised difference {found.difference:.2f} (0.10 is worth a"
        f" look), population stability index {found.psi:.3f} ({found.noise:.3f} by chance alone); over the"
        f" {per_cent(one.covered)} of episodes whose group both give."
    )


def _chart(one: AttributeShares, hidden: Hidden, scheme: SubgroupScheme, name: str) -> Iterator[Block]:
    rows = [
        (capital(_name(row, scheme)), row.share, row.other_share)
        for row in one.levels
        if row.group not in hidden.rates and row.other_share is not None
    ]
    if rows:
        attribute = attribute_words(one.attribute)
        yield Chart(
            name=f"{name}-chart",
            title=f"By {attribute}: our patients beside the training data",
            says="Two bars for each group: its share of our patients, and of the people the model was trained"
            " on. Bars of the same length mean the same share. The table below has the figures.",
            svg=charts.shares(rows, "patients here", "training data"),
        )


def _missing(known: Known) -> Iterator[Block]:
    rows = known.activity.missing
    if not rows:
        return
    yield Heading("What we do not know about our patients")
    rising = [attribute_words(one.attribute) for one in rows if one.rising]
    if rising:
        yield Words(
            f"Missing more often than in the quarter before: {listed(rising)}. Figures by these speak of"
            f" fewer"
            " and fewer patients.",
            "notice",
        )
    yield Table(
        name="missing",
        caption="Details missing, this quarter and the one before",
        columns=("Detail", "Missing now", "Before", "Why, most frequent first"),
        rows=tuple(_missing_row(one) for one in rows),
    )


def _missing_row(one: MissingShare) -> tuple[str, ...]:
    name = capital(attribute_words(one.attribute))
    parts = {Group((("reason", reason),)): {"people": n} for reason, n in one.reasons}
    parts[Group((("reason", "recorded"),))] = {"people": one.total - one.missing}
    parts[Group()] = {"people": one.total}
    hidden = hidden_rows(parts)
    before = "-" if one.before is None else per_cent(one.before)
    shown = [
        missing_words(f"missing:{reason}")
        + (f": {per_cent(n / one.total)}" if not _is_in(reason, hidden) else "")
        for reason, n in one.reasons
    ]
    small = _is_in("recorded", hidden) or (len(one.reasons) == 1 and _is_in(one.reasons[0][0], hidden))
    return name, NOT_SHOWN if small else per_cent(one.share), before, "; ".join(shown) or "-"


def _is_in(reason: str, hidden: Hidden) -> bool:
    return Group((("reason", reason),)) in hidden.rates

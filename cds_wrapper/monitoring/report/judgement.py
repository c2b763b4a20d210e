"""The short answer: for whom the tool is shown to work here, for whom it falls short, what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cds_wrapper.monitoring.report.blocks import Answer, Answers, Block, Section, Words
from cds_wrapper.monitoring.report.figures import Shown
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import attribute_words, capital, group_words, listed
from cds_wrapper.monitoring.report.verdicts import Because, Judged, Verdict
from cds_wrapper.monitoring.values import EVERYBODY, Group
from cds_wrapper.patient.subgroups import SubgroupScheme, is_missing

TITLES: Final[Mapping[Verdict, str]] = {
    Verdict.SHOWN: "Shown to work here",
    Verdict.FALLS_SHORT: "Falls short here",
    Verdict.NOT_KNOWN: "Not known",
}
_SAYS: Final[Mapping[Verdict, str]] = {
    Verdict.SHOWN: "Enough patients have been followed, and the results are about as expected.",
    Verdict.FALLS_SHORT: "A difference has been found that is larger than chance explains. See question 4.",
    Verdict.NOT_KNOWN: "Nobody can say today whether it works as well for them. That is no good result.",
}
REASONS: Final[Mapping[Because, str]] = {
    Because.FINDING: "a finding stands",
    Because.UNDER_REVIEW: "signs of a difference, under review",
    Because.NOBODY: "no such patient yet",
    Because.TOO_FEW: "too few outcomes so far",
    Because.NOT_FOLLOWED: "too many outcomes were never learnt",
    Because.UNDECIDED: "results leave it open",
    Because.HOLDS_UP: "results are about as expected",
}


def short_answer(known: Known, shown: Shown | None) -> Section:
    """The first page."""
    return Section("answer", "The short answer", tuple(_blocks(known, shown)))


def _blocks(known: Known, shown: Shown | None) -> Iterator[Block]:
    if shown is None:
        yield Words(
            "Nothing has been measured here yet: for no group of patients is anything known.", "strong"
        )
        return
    yield Words(overall(known, shown), "strong")
    yield Answers(tuple(_answer(verdict, known, shown) for verdict in TITLES))
    yield Words(
        "A group is anybody with that value on file; a patient is in several. Results for a group say how the"
        " tool did for its members together, and nothing about any one of them."
    )


def overall(known: Known, shown: Shown) -> str:
    """One sentence about all patients together."""
    everybody = shown.everybody
    outcome = known.service.outcome
    both = shown.predicted_and_seen(everybody.figures)
    if both is None:
        return "For all patients together it is not known how the tool does: no figures can be shown."
    said = (
        f"Of {shown.out_of:,} patients here, the tool predicted {outcome.phrase} for {both[0]}; it came for"
        f" {both[1]}."
    )
    after = {
        Verdict.SHOWN: "All patients together: shown to work about as expected.",
        Verdict.FALLS_SHORT: "All patients together: it falls short, see question 4.",
        Verdict.NOT_KNOWN: f"All patients together: not settled ({REASONS[everybody.because]}).",
    }
    return f"{said} {after[everybody.verdict]}"


def _answer(verdict: Verdict, known: Known, shown: Shown) -> Answer:
    own = [one for one in shown.judged if one.verdict is verdict and one.figures.group != EVERYBODY]
    return Answer(verdict.value, TITLES[verdict], _SAYS[verdict], tuple(_lines(own, verdict, known, shown)))


def _lines(own: list[Judged], verdict: Verdict, known: Known, shown: Shown) -> Iterator[str]:
    """One line for each attribute; of crossings only findings are named, the others are counted."""
    by_attribute = shown.by_attribute()
    for attribute in (name for name in by_attribute if name):
        here = [one for one in own if one.figures.group.attribute == attribute]
        if not here:
            continue
        if "*" in attribute and verdict is not Verdict.FALLS_SHORT:
            yield f"{len(here)} of {len(by_attribute[attribute])} groups by {attribute_words(attribute)}"
        else:
            yield from _named(here, attribute, verdict, known)


def _name(one: Judged, known: Known) -> str:
    """The group; of one that is shown to work, also those of its members for whom it falls short."""
    scheme, group = known.service.scheme, one.figures.group
    name = group_words(group, scheme)
    inside = [found.group for found in known.found if found.closed is None and found.carded]
    parts = [
        _others(Group(tuple(set(wider.where) - set(group.where))), scheme)
        for wider in inside
        if len(wider.where) > len(group.where) and set(group.where) < set(wider.where)
    ]
    return f"{name} (except {listed(parts)})" if parts and one.verdict is Verdict.SHOWN else name


def _others(group: Group, scheme: SubgroupScheme) -> str:
    """The other half of a crossing: "those aged 20 to 39"."""
    words = group_words(group, scheme)
    return f"those {words.removeprefix('people ')}" if words.startswith("people ") else words


def _named(here: list[Judged], attribute: str, verdict: Verdict, known: Known) -> Iterator[str]:
    reasons = dict.fromkeys(one.because for one in here)
    for reason in reasons if verdict is Verdict.NOT_KNOWN else (None,):
        # A race alone or in combination is in the tables: its name alone would stand here twice.
        chosen = [one for one in here if reason in {None, one.because} and one.figures.group.exclusive]
        missing = [one for one in chosen if is_missing(one.figures.group.where[0][1])]
        names = [_name(one, known) for one in chosen if one not in missing]
        if missing:
            names.append(f"people without a known {attribute_words(attribute)}")
        if names:
            yield capital(listed(names)) + (f" ({REASONS[reason]})" if reason else "")

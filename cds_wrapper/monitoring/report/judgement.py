"""The short answer: for whom the tool is shown to work here, for whom it falls short, what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cds_wrapper.caveats.found import Direction
from cds_wrapper.monitoring.findings import FindingKind
from cds_wrapper.monitoring.report.blocks import Answer, Answers, Block, Section, Words
from cds_wrapper.monitoring.report.figures import Shown
from cds_wrapper.monitoring.report.known import Found, Known
from cds_wrapper.monitoring.report.names import attribute_words, capital, group_words, listed
from cds_wrapper.monitoring.report.verdicts import Because, Judged, Verdict
from cds_wrapper.monitoring.values import EVERYBODY, Group
from cds_wrapper.patient.demographics import RACE_ETHNICITY
from cds_wrapper.patient.rules import RACE
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
    Because.HOLDS_UP: "results are about as expected",
    Because.UNDER_REVIEW: "signs of a difference, under review",
    Because.MORE_CAME: "more outcomes came than predicted; watched, by chance or not",
    Because.FEWER_CAME: "fewer outcomes came than predicted; watched, by chance, treatment or not",
    Because.ELSEWHERE: "found to fall short elsewhere; not settled here",
    Because.OUT_OF_SCOPE: "outside the use the developer intends",
    Because.NOT_FOLLOWED: "too many outcomes were never learnt",
    Because.CONFIRMING: "as expected today; counts once next month's review confirms it",
    Because.UNDECIDED: "results leave it open",
    Because.WHOLE_UNDECIDED: "not settled for all patients together",
    Because.TOO_FEW: "too few outcomes so far",
    Because.NOT_REVIEWED: "no review has published anything yet",
    Because.NOBODY: "no such patient yet",
}


_DIRECTIONS: Final[Mapping[Direction, str]] = {
    Direction.SCORES_TOO_LOW: "Scores are too low",
    Direction.SCORES_TOO_HIGH: "Scores are too high",
    Direction.MISSES_MORE: "More cases are missed",
    Direction.FALSE_ALARMS_MORE: "More alerts are false",
}
_KINDS: Final[Mapping[FindingKind, str]] = {
    FindingKind.LABEL_MISMATCH: "The need differs at equal scores, more than what the score predicts",
    FindingKind.THRESHOLD_EFFECT: "Fewer cases are found, as one threshold does where risks differ",
    FindingKind.TOO_GOOD: "Results are too good to be true; the outcome may be known to the score",
    FindingKind.FOLLOW_UP_FALLING: "Fewer outcomes are learnt than before",
    FindingKind.MISSING_RISING: "A detail is missing more often than before",
}


def found_words(one: Found) -> str:
    """What was found, in words: which way it errs, or what else is the matter."""
    return _DIRECTIONS[one.direction] if one.direction else _KINDS.get(one.kind, "Less reliable")


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
    yield from _warnings(known)
    yield Answers(tuple(_answer(verdict, known, shown) for verdict in TITLES))
    yield Words(
        "A group is anybody with that value on file; a patient is in several. Results for a group say how the"
        " tool did for its members together, and nothing about any one of them."
    )


def _warnings(known: Known) -> Iterator[Block]:
    """What is found about the figures themselves: then no answer is worth more than they are."""
    doubted = (FindingKind.TOO_GOOD, FindingKind.FOLLOW_UP_FALLING, FindingKind.MISSING_RISING)
    for one in known.found:
        if one.closed is None and one.kind in doubted:
            whose = group_words(one.group, known.service.scheme)
            yield Words(
                f"Before you rely on this: {found_words(one).lower()} ({whose}). {one.what}", "notice"
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
    """Who has this answer; a group that has a wider one's finding is told of with that one."""
    own = [one for one in shown.judged if one.verdict is verdict and one.is_own]
    return Answer(verdict.value, TITLES[verdict], _SAYS[verdict], tuple(_lines(own, verdict, known, shown)))


def _lines(own: list[Judged], verdict: Verdict, known: Known, shown: Shown) -> Iterator[str]:
    """One line for each attribute, or of what is not known for each reason; of crossings only findings."""
    if verdict is Verdict.FALLS_SHORT and any(one.figures.group == EVERYBODY for one in own):
        yield "All patients together, and so every group of them"
    own = [one for one in own if one.figures.group != EVERYBODY]
    blank = _never_recorded(shown)
    if verdict is Verdict.NOT_KNOWN:
        single = [one for one in own if _is_single(one, shown) and one.figures.group.attribute not in blank]
        for reason in REASONS:
            here = [one for one in single if one.because is reason]
            if here:
                yield f"{capital(REASONS[reason])}: {listed(list(_names(here, known, shown)))}"
        yield from (f"By {attribute_words(name)}: on file for nobody" for name in blank)
    for attribute, judged in shown.by_attribute().items():
        here = [one for one in own if one.figures.group.attribute == attribute]
        if here and _is_counted(attribute, shown) and verdict is not Verdict.FALLS_SHORT:
            yield f"{len(here)} of {len(judged)} groups by {attribute_words(attribute)}: see question 2"
        elif here and verdict is not Verdict.NOT_KNOWN:
            yield capital(listed(list(_names(here, known, shown))))


def _is_single(one: Judged, shown: Shown) -> bool:
    """Whether it is named: a race alone or in combination is in the tables, or its name would stand twice."""
    group = one.figures.group
    return group.exclusive and not _is_counted(group.attribute, shown)


def _is_counted(attribute: str, shown: Shown) -> bool:
    """Whether groups are counted and not named: those of crossings, and of race and ethnicity beside both."""
    both = {RACE, "ethnicity"} <= set(shown.by_attribute())
    return "*" in attribute or (attribute == RACE_ETHNICITY and both)


def _never_recorded(shown: Shown) -> list[str]:
    """The attributes of which nobody has a value on file: nothing can be said by them."""
    return [
        name
        for name, judged in shown.by_attribute().items()
        if name
        and "*" not in name
        and not any(
            sum(one.figures.counts.values())
            for one in judged
            if not is_missing(one.figures.group.where[0][1])
        )
    ]


def _names(here: list[Judged], known: Known, shown: Shown) -> Iterator[str]:
    """The groups by name; those of whom a detail is missing as one, where all of them have this answer."""
    by_attribute = shown.by_attribute()
    for attribute in dict.fromkeys(one.figures.group.attribute for one in here):
        own = [
            one for one in here if one.figures.group.attribute == attribute and one.figures.group.exclusive
        ]
        missing = [one for one in own if is_missing(one.figures.group.where[0][1])]
        every = [one for one in by_attribute[attribute] if is_missing(one.figures.group.where[0][1])]
        if len(missing) < len([one for one in every if one.figures.group.exclusive]):
            missing = []
        yield from (_name(one, known, shown) for one in own if one not in missing)
        if missing:
            yield f"people without a known {attribute_words(attribute)}"


def _name(one: Judged, known: Known, shown: Shown) -> str:
    """The group; of one that is shown to work, also those of its members for whom it falls short."""
    scheme, group = known.service.scheme, one.figures.group
    name = group_words(group, scheme)
    inside = [other for other in shown.judged if other.verdict is Verdict.FALLS_SHORT and other.is_own]
    parts = [
        _others(Group(tuple(set(other.figures.group.where) - set(group.where))), scheme)
        for other in inside
        if set(group.where) < set(other.figures.group.where)
    ]
    return f"{name} (except {listed(parts)})" if parts and one.verdict is Verdict.SHOWN else name


def _others(group: Group, scheme: SubgroupScheme) -> str:
    """The other half of a crossing: "those aged 20 to 39"."""
    words = group_words(group, scheme)
    return f"those {words.removeprefix('people ')}" if words.startswith("people ") else words

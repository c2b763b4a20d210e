"""Question 4: what is our plan when we find a problem? Decided ahead, open findings, what is overdue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from cds_wrapper.caveats.caveat import CaveatLevel, Disposition
from cds_wrapper.monitoring.formulas.time_to_find import TimeToFind
from cds_wrapper.monitoring.report.blocks import Block, Bullets, Heading, Section, Table, Words
from cds_wrapper.monitoring.report.figures import days_words
from cds_wrapper.monitoring.report.judgement import found_words
from cds_wrapper.monitoring.report.known import Found, Known
from cds_wrapper.monitoring.report.names import capital, group_words
from cds_wrapper.monitoring.values import EVERYBODY

_WHEN: Final[Mapping[CaveatLevel, str]] = {
    CaveatLevel.SUPPORTED: "It is shown to work for patients like this one",
    CaveatLevel.LIMITED: "Too little is known",
    CaveatLevel.NOT_ASSESSED: "A detail that would matter is not on file",
    CaveatLevel.NOT_VALIDATED: "Nobody has shown that it works for patients like this one",
    CaveatLevel.REDUCED: "It falls short, or is not meant for patients like this one",
}
_THEN: Final[Mapping[Disposition, str]] = {
    Disposition.SHOW: "the card is shown as it is",
    Disposition.ANNOTATE: "the card says so, with what to do",
    Disposition.LOWER_URGENCY: "the card is shown at lower urgency, and says so",
    Disposition.WITHHOLD: "the score is not shown; a card says why",
    Disposition.SHADOW: "the score is calculated and not shown",
    Disposition.STOP: "the model is not asked",
}


def planned(known: Known) -> Section:
    """The section on what was decided ahead and what is due."""
    return Section(
        "plan",
        "4. What is our plan when we find a problem?",
        (*_overdue(known), *_findings(known), *_decided(known), *_times(known)),
    )


def _overdue(known: Known) -> Iterator[Block]:
    late = [one for one in known.found if one.is_overdue(known.as_of)]
    lines = [f"{_who(one, known)}: due on {_day(one.due)}, {_owner(one)}." for one in late if one.due]
    yield Heading("Overdue")
    last, often = known.reviewed_on, known.service.plan.monitoring.look_every
    if last and known.as_of - last > 2 * often:
        lines.append(f"A review: the last one was on {_day(last)}.")
    yield Bullets(tuple(lines)) if lines else Words("No finding is overdue.")


def _findings(known: Known) -> Iterator[Block]:
    yield Heading("Findings")
    reviewed = f" The last review was on {_day(known.reviewed_on)}." if known.reviewed_on else ""
    if not known.reviewed_on:
        yield Words("No review has been made yet: that no finding stands here says nothing.", "notice")
    elif not known.found:
        yield Words(
            f"No finding is open.{reviewed} That is no certificate: see how long finding one takes, below."
        )
    else:
        yield Words(f"{sum(one.closed is None for one in known.found)} open.{reviewed}")
    if known.found:
        yield Table(
            name="findings",
            caption="Findings, and what the plan says of them",
            columns=("Who", "What", "Since", "How sure", "What the plan says", "Whose", "Due"),
            rows=tuple(_row(one, known) for one in known.found),
        )


def _row(one: Found, known: Known) -> tuple[str, ...]:
    due = "-" if one.due is None else _day(one.due)
    if one.is_overdue(known.as_of):
        due += ", overdue"
    if one.closed:
        due = f"closed on {_day(one.closed)}"
    return (
        _who(one, known),
        f"{found_words(one)}. In figures: {one.what}",
        _day(one.since),
        one.sure,
        _plan_says(one, known),
        (one.owner or "nobody named").replace("_", " "),
        due,
    )


def _plan_says(one: Found, known: Known) -> str:
    if not one.carded:
        return "Listed only; no card changes."
    if not one.kind.at_once:
        return "Cards say that it is under review, until it is signed."
    response = known.service.plan.respond.get(CaveatLevel.REDUCED, Disposition.ANNOTATE)
    return f"At once: {_THEN[response]}. Anything stronger needs a signature."


def _who(one: Found, known: Known) -> str:
    return capital(group_words(one.group, known.service.scheme))


def _owner(one: Found) -> str:
    return f"with the {one.owner.replace('_', ' ')}" if one.owner else "with nobody named"


def _decided(known: Known) -> Iterator[Block]:
    plan = known.service.plan
    yield Heading("Decided ahead")
    if plan.approved_by and plan.approved_on:
        yield Words(
            f"Approved on {_day(plan.approved_on)} by the {plan.approved_by}; version {plan.version}."
        )
    else:
        yield Words("This plan names nobody who approved it.", "notice")
    rows = []
    for level, when in _WHEN.items():
        standing = Disposition.SHOW if level is CaveatLevel.SUPPORTED else Disposition.ANNOTATE
        rows.append((when, _THEN[plan.respond.get(level, standing)]))
    versions = ", ".join(sorted(plan.approved_versions))
    rows.append((f"The vendor uses another version than {versions}", _THEN[Disposition.SHADOW]))
    rows.append(("The model gives no answer", "a card says so, and that this does not mean low risk"))
    yield Table(
        name="decided",
        caption="What happens to a patient's card",
        columns=("When", "Then"),
        rows=tuple(rows),
    )


def _times(known: Known) -> Iterator[Block]:
    if not known.times:
        return
    yield Heading("How long would it take to find a problem here?")
    never = [
        capital(group_words(group, known.service.scheme))
        for group, times in known.times.items()
        if all(_is_never(one) for one in times) and len(group.where) == 1 and group.exclusive
    ]
    yield Words(
        "If scores for a group began to be too low, in half of all such cases it would be found by looking"
        " every day within the time below. The fewer outcomes a group has, the longer it takes. “Never”"
        " means: not within five years, so this hospital cannot find it by itself and must ask others."
    )
    if never:
        yield Words(f"Never, even for the largest of these differences: {'; '.join(never)}.", "notice")
    told = {group: times for group, times in known.times.items() if group != EVERYBODY}
    ratios = [one.ratio for one in next(iter(known.times.values()))]
    yield Table(
        name="time-to-find",
        caption="Expected time to find that more outcomes come than predicted, compared with the others",
        columns=("Group", *(f"{ratio:g} times as many" for ratio in ratios)),
        rows=tuple(
            (
                capital(group_words(group, known.service.scheme)),
                *(_time(one.from_live, one.after_change) for one in times),
            )
            for group, times in told.items()
        ),
        quiet=tuple(
            len(group.where) > 1 or not group.exclusive or all(_is_never(one) for one in times)
            for group, times in told.items()
        ),
        note="First if it is so from go-live on; in brackets if it begins later.",
    )


def _is_never(one: TimeToFind) -> bool:
    return one.from_live is None and one.after_change is None


def _time(from_live: float | None, after: float | None) -> str:
    if from_live is None and after is None:
        return "never"
    return f"{days_words(from_live)} ({days_words(after)})"


def _day(day: date) -> str:
    return f"{day:%-d %B %Y}"

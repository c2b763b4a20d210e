"""What a review says in words: what is new, what stands, how long finding takes. No count of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cds_wrapper.caveats.caveat import CaveatLevel
from cds_wrapper.commands.review_preview import Preview
from cds_wrapper.ledger.edition_values import StoredFinding
from cds_wrapper.monitoring.formulas.restarts import PLANNED_MONTHS
from cds_wrapper.monitoring.looking import name_of
from cds_wrapper.monitoring.report.figures import days_words
from cds_wrapper.monitoring.reviewed import Reviewed


def in_words(done: Reviewed, seen: Preview | None = None) -> Iterator[str]:
    """A review, line by line; with `seen` it is a dry run."""
    figures, service = done.figures, done.service
    kind = f"dated review {done.dated}" if done.dated else "daily look"
    yield f"{service.id}: {kind} as of {figures.as_of}, outcome {figures.outcome}."
    grades = Counter(result.grade.value for result in done.local.results)
    yield "  evidence of groups: " + ", ".join(f"{count} {grade}" for grade, count in grades.items()) + "."
    stand = "finding stands" if len(done.standing) == 1 else "findings stand"
    yield f"  {len(done.standing)} {stand}, {len(done.opened)} new."
    new = {one.finding_id for one in done.opened}
    for finding in done.standing:
        yield from _finding(finding, is_new=finding.finding_id in new)
    yield from _times(done)
    yield from _published(done, is_dry=seen is not None)
    if seen is not None:
        yield from _cards(seen)


def _finding(one: StoredFinding, *, is_new: bool) -> Iterator[str]:
    whom = ", ".join(f"{name} {'/'.join(levels)}" for name, levels in one.groups.items()) or "everybody"
    way = f", {one.direction}" if one.direction else ""
    yield f"  {'NEW ' if is_new else ''}{one.finding_id} {one.kind}{way}: {whom}, since {one.since}"
    yield f"      {one.detail.get('what')} ({one.detail.get('sure')})"
    yield f"      {one.detail.get('plan')}"


def _times(done: Reviewed) -> Iterator[str]:
    told = [(name_of(one.group), one.times) for one in done.looked if one.times]
    if not told:
        yield "  How long it would take to find a gap is not known yet: too few days of outcomes."
        return
    ratios = ", ".join(f"{time.ratio:g}" for time in told[0][1])
    yield f"  Expected time until a group's score that is too low by a factor of {ratios} is found:"
    never = [group for group, times in told if all(time.from_live is None for time in times)]
    for group, times in told:
        if group not in never:
            yield f"    {group}: " + ", ".join(days_words(time.from_live) for time in times)
    if never:
        yield f"  Never (not within {PLANNED_MONTHS} months), for any of these: {', '.join(never)}."


def _published(done: Reviewed, *, is_dry: bool) -> Iterator[str]:
    if done.edition is None:
        yield "  Nothing on cards would change: the edition in force stays."
    elif is_dry:
        yield f"  A new edition would be published: {done.edition.edition}. Nothing was written."
    else:
        yield f"  Published edition {done.edition.edition}; serving processes follow within seconds."


def _cards(seen: Preview) -> Iterator[str]:
    told = seen.document()
    if seen.unreadable:
        yield "  Some recorded calls cannot be weighed again and are left out: see `check --ledger`."
    if told["patients"] is None:
        yield "  Too few patients were recorded in the last quarter to say how cards would change."
        return
    yield f"  Latest card of each of {seen.patients:,} patients of the last quarter, before and after:"
    for level in CaveatLevel:
        one = told["levels"][level.value]
        yield f"    {level.value:14} {one['before']!s:>10} {one['after']!s:>10}"

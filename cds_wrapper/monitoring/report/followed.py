"""What became of patients: how many outcomes were learnt, and whether acting on a score changed them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from cds_wrapper.monitoring.cells import Hidden, hidden_rows
from cds_wrapper.monitoring.formulas.follow_up import Verified, begg_greenes
from cds_wrapper.monitoring.report import charts
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN, Block, Chart, Heading, Table, Words
from cds_wrapper.monitoring.report.figures import people
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import capital, group_words
from cds_wrapper.monitoring.report.shares import Shares, is_quiet
from cds_wrapper.monitoring.strata import DueInMonth, FollowUp, Stratum
from cds_wrapper.monitoring.suppression import FLOOR, is_small
from cds_wrapper.monitoring.values import EVERYBODY, Group

_ACTIONS: Final[Mapping[str, str]] = {
    "accepted": "card accepted",
    "overridden": "card overridden",
    "none": "nothing reported",
}

LATE: Final = 0.1
"""A part of the outcomes due in a month that is lacking, from which the page says so."""


def followed(known: Known) -> Iterator[Block]:
    """How many of the outcomes that are due were learnt: by group and flag, and month by month."""
    rows = known.activity.follow_up
    if not rows:
        return
    yield Heading("Did we learn what became of them?")
    yield from _by_month(known.activity.due, known)
    for flag, words in ((True, "who were flagged"), (False, "who were not flagged"), (None, "")):
        own = [row for row in rows if row.flagged is flag]
        if own:
            yield _of(own, flag, words).table(known)
    yield Words(
        "Where outcomes are looked for more often among flagged patients, cases among the others go unseen:"
        " the cases found beforehand then look better than they are."
    )
    yield from _looked_for_alike(rows)


def _looked_for_alike(rows: Sequence[FollowUp]) -> Iterator[Block]:
    """Cases found beforehand as they would be if outcomes were looked for alike on both sides."""
    sides = {row.flagged: row for row in rows if row.group == EVERYBODY and row.flagged is not None}
    if len(sides) < 2 or not all(_is_shown(row) for row in sides.values()):
        return
    flagged, unflagged = (
        Verified(row.known + row.unverified, row.known, row.events) for row in (sides[True], sides[False])
    )
    events = flagged.events + unflagged.events
    corrected = begg_greenes(flagged, unflagged)[0].value
    if corrected is None or not events:
        return
    seen, would = round(100 * flagged.events / events), round(100 * corrected)
    if seen != would:
        yield Words(
            f"Of 100 cases that we know of, {seen} had been flagged. If nothing but whether a patient was"
            f" flagged decides for whom an outcome is looked for, it is {would} of 100 of all"
            " cases, those nobody saw among them."
        )


def _is_shown(row: FollowUp) -> bool:
    """Whether no count behind it is of a handful of people."""
    counts = (row.events, row.known - row.events, row.unverified)
    return not any(is_small(n) for n in counts)


def _of(rows: Sequence[FollowUp], flag: bool | None, words: str) -> Shares:
    return Shares(
        name=f"follow-up-{'all' if flag is None else 'flagged' if flag else 'not-flagged'}",
        caption=f"Outcomes that are due, of patients {words}".strip(),
        counted="Due",
        whole={row.group: row.due for row in rows},
        columns={
            "Outcome known": {row.group: (row.known, row.due) for row in rows},
            "Looked for, of those seen to the end": {
                row.group: (row.known, row.known + row.unverified) for row in rows
            },
        },
        more={},
    )


def _by_month(rows: Sequence[DueInMonth], known: Known) -> Iterator[Block]:
    """Outcomes that stop coming look like nothing at all in other figures: here they are seen to fall."""
    months: dict[date, DueInMonth] = {}
    for row in rows:
        months[row.month] = months[row.month] + row if row.month in months else row
    named = {f"{day:%B %Y}": one for day, one in sorted(months.items())}
    table = _due("months", "Outcomes by the month in which they were due", named)
    shown = [one for name, one in named.items() if one.due and table.shows(Group((("months", name),)))]
    lacking = [one for one in shown if one.known < (1 - LATE) * one.due]
    if lacking:
        told = ", ".join(f"{one.month:%B %Y}" for one in lacking)
        yield Words(f"Of the outcomes due in {told} more than a tenth are not known.", "notice")
    bars = [(f"{one.month:%b %Y}", bar) for one in shown if (bar := _bar(one)) is not None]
    if len(bars) > 1:
        yield Chart(
            name="follow-up-months-chart",
            title="Outcomes known, of those due in each month",
            says="One bar for each month, as long as the part of its outcomes that is known. Bars that become"
            " shorter mean that outcomes stop coming. Months with small numbers have no bar."
            " The table below has the figures.",
            svg=charts.months(bars),
        )
    if months:
        yield table.table(known)
    sites: dict[str, DueInMonth] = {}
    for row in rows:
        sites[row.site] = sites[row.site] + row if row.site in sites else row
    if len(sites) > 1:
        yield _due("sites", "Outcomes that are due, by site", sites).table(known)


def _bar(one: DueInMonth) -> float | None:
    """The part that is known, in whole per cent; None where a handful would be told by it.

    Of a month so large that every handful rounds to nothing, or to all, of it the bar tells none.
    """
    small = is_small(one.known) or is_small(one.due - one.known)
    if small and round((FLOOR - 1) / one.due, 2) > 0:
        return None
    return round(one.known / one.due, 2)


def _due(of: str, caption: str, named: Mapping[str, DueInMonth]) -> Shares:
    groups = {Group(((of, name),)): one for name, one in named.items()}
    total = sum(one.due for one in groups.values())
    known = sum(one.known for one in groups.values())
    seen = known + sum(one.unverified for one in groups.values())
    parts = {EVERYBODY: (known, total), **{group: (one.known, one.due) for group, one in groups.items()}}
    verified = {group: (one.known, one.known + one.unverified) for group, one in groups.items()}
    return Shares(
        name=f"follow-up-{of}",
        caption=caption,
        counted="Due",
        whole={group: whole for group, (_, whole) in parts.items()},
        columns={
            "Outcome known": parts,
            "Looked for, of those seen to the end": {EVERYBODY: (known, seen), **verified},
        },
        more={},
        names={EVERYBODY: f"All {of}", **{group: group.level for group in groups}},
    )


def acted_on(rows: Sequence[Stratum], known: Known) -> Iterator[Block]:
    own = [row for row in rows if row.group == EVERYBODY or not is_quiet(row.group)]
    if not own:
        return
    groups = dict.fromkeys(row.group for row in own)
    hidden = {group: _hidden([row for row in own if row.group == group]) for group in groups}
    yield Heading("Did acting on it change the outcome?")
    yield Words(
        "A score that leads to treatment prevents some of what it predicted. So patients at and above"
        " the threshold are shown apart from those below, and by what was done. Fewer outcomes than predicted"
        " above it may reflect treatment; below it hardly any difference can. Comparing those who were"
        " treated with those who were not proves nothing: they differ."
    )
    yield Table(
        name="strata",
        caption="Seen for each predicted, by whether the score was high and what was done",
        columns=("Score, card, feedback", "Outcomes known", "Seen for each predicted (range)"),
        rows=tuple(_stratum_row(row, hidden, known) for row in own),
        quiet=tuple(row.group != EVERYBODY for row in own),
    )


def _name(row: Stratum) -> str:
    where = "At or above the threshold" if row.flagged else "Below the threshold"
    shown = "card shown" if row.shown else "no card shown"
    return f"{where}, {shown}, {_ACTIONS.get(row.action, row.action)}"


def _hidden(rows: Sequence[Stratum]) -> Hidden:
    """The strata of one group add up to it: where one is small, a second one is hidden with it."""
    parts = {
        Group((("stratum", _name(row)),)): {"event": row.events, "no_event": row.n - row.events}
        for row in rows
    }
    events, n = sum(row.events for row in rows), sum(row.n for row in rows)
    return hidden_rows({EVERYBODY: {"event": events, "no_event": n - events}, **parts})


def _stratum_row(row: Stratum, hidden: Mapping[Group, Hidden], known: Known) -> tuple[str, ...]:
    whose = "" if row.group == EVERYBODY else f"{capital(group_words(row.group, known.service.scheme))}: "
    name = f"{whose}{_name(row)}"
    if Group((("stratum", _name(row)),)) in hidden[row.group].counts:
        return name, NOT_SHOWN, NOT_SHOWN
    ratio = row.ratio
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return name, people(row.n), "-"
    words = " - may reflect treatment" if row.flagged and ratio.high < 1 else ""
    return name, people(row.n), f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}){words}"

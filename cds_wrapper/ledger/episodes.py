"""What is known of each prediction's outcome: episodes, and their state as of a day. Pure.

"Not known" is never "no": until the horizon is over an episode is `pending`, even when its event is known
already, since a cohort would else hold its events before its non-events. After that it is `event` or
`no_event` only when somebody looked until its end, or a source tells of the case itself: where nobody looked
for a part of the time, events of the other part would stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final

from cds_wrapper.ledger.outcomes import FollowUp, Report
from cds_wrapper.services.outcomes import EpisodeKind, EpisodeRule, Index, Outcome, OutcomeKind

EVENT, NO_EVENT, PENDING, CENSORED, UNVERIFIED = "event", "no_event", "pending", "censored", "unverified"
_DURATION: Final = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_CASES: Final = frozenset({Report.NO_EVENT, Report.UNVERIFIED})


@dataclass(frozen=True, slots=True, repr=False)
class Scored:
    """One prediction with a score, as far as episodes need it; `row` is the whole record."""

    prediction_id: str
    at: datetime
    score: float
    flagged: bool | None
    encounter_key: str | None
    site: str | None
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Known:
    """One current outcome row of a patient."""

    report: Report
    happened_at: datetime | None
    encounter_key: str | None = None
    prediction_id: str | None = None
    reason: str | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of an episode's outcome on a day; `value` for counts and costs, 1 or 0 else."""

    state: str
    reason: str | None = None
    event_at: datetime | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Episode:
    """Predictions that share one outcome, the one that stands for them first named."""

    index: Scored
    predictions: int
    due_on: date
    state: State
    further: tuple[tuple[Outcome, date, State], ...] = ()


@lru_cache(maxsize=64)
def _parts(duration: str) -> tuple[int, timedelta]:
    """An ISO 8601 duration as calendar months and the rest."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError("not an ISO 8601 duration")
    years, months, weeks, days = (int(part or 0) for part in match.groups()[:4])
    hours, minutes, seconds = (float(part or 0) for part in match.groups()[4:])
    rest = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return years * 12 + months, rest


def after(start: datetime, duration: str) -> datetime:
    """A moment and an ISO 8601 duration later; a month is a calendar month, cut at its last day."""
    months, rest = _parts(duration)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = start.day
    while True:
        try:
            moved = start.replace(year=year, month=month + 1, day=day)
            break
        except ValueError:
            day -= 1
    return moved + rest


def due_on(index: datetime, horizon: str) -> date:
    """The first day (UTC) on which the whole horizon lies behind."""
    end = after(index, horizon)
    midnight = datetime.combine(end.date(), time(), UTC)
    return end.date() if end == midnight else end.date() + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Followed:
    """Days on which events would have been seen, by site and for all sites."""

    periods: tuple[FollowUp, ...]

    def covers(self, start: date, end: date, site: str | None) -> bool:
        """Whether every day from the first up to `end` (left out) is covered."""
        reached = start
        for one in sorted(self.periods, key=lambda period: period.covers_from):
            if one.site in {None, site} and one.covers_from <= reached:
                reached = max(reached, one.covers_to)
        return reached >= end


def episodes_of(
    scored: Iterable[Scored],
    rule: EpisodeRule,
    outcome: Outcome,
    known: Sequence[Known],
    followed: Followed,
    as_of: date,
    further: Sequence[tuple[Outcome, Sequence[Known], Followed]] = (),
) -> Iterator[Episode]:
    """The episodes of one patient and one model version; nobody's outcome is guessed."""
    for together in grouped(
        sorted(scored, key=lambda one: (one.at, one.prediction_id)), rule, outcome.horizon
    ):
        index = index_of(together, rule.index)
        ids = frozenset(one.prediction_id for one in together)
        due = due_on(index.at, outcome.horizon)
        yield Episode(
            index,
            len(together),
            due,
            state_of(index, ids, outcome, known, followed, as_of),
            tuple(
                (one, due_on(index.at, one.horizon), state_of(index, ids, one, told, seen, as_of))
                for one, told, seen in further
            ),
        )


def grouped(scored: Sequence[Scored], rule: EpisodeRule, horizon: str) -> Iterator[list[Scored]]:
    """Predictions, in order of time, that belong together: of an encounter, or within a horizon."""
    if rule.kind is EpisodeKind.ENCOUNTER:
        by_encounter: dict[str, list[Scored]] = {}
        for one in scored:
            by_encounter.setdefault(one.encounter_key or one.prediction_id, []).append(one)
        yield from by_encounter.values()
        return
    together: list[Scored] = []
    for one in scored:
        if together and one.at >= after(together[0].at, horizon):
            yield together
            together = []
        together.append(one)
    if together:
        yield together


def index_of(together: Sequence[Scored], index: Index) -> Scored:
    """The prediction that stands for its episode, by a rule fixed ahead; the first where none is flagged."""
    if index is Index.MAXIMUM:
        return max(together, key=lambda one: one.score)
    if index is Index.FIRST_FLAGGED:
        return next((one for one in together if one.flagged), together[0])
    return together[0]


def state_of(
    index: Scored,
    ids: frozenset[str],
    outcome: Outcome,
    known: Sequence[Known],
    followed: Followed,
    as_of: date,
) -> State:
    """What is known of one episode's outcome on a day."""
    begins, ends = index.at + outcome.lead_time, after(index.at, outcome.horizon)
    mine = [one for one in known if _is_mine(one, index, ids, index.at, ends)]
    events = [one for one in mine if one.report is Report.EVENT and _counts(one, begins, ends)]
    event_at = min((one.happened_at for one in events if one.happened_at), default=None)
    due = due_on(index.at, outcome.horizon)
    if as_of < due:
        return State(PENDING, "horizon_not_over", event_at)
    if any(one.report is Report.EVENT and one.happened_at and one.happened_at < begins for one in mine):
        return State(CENSORED, "excluded")
    lost = [one for one in mine if one.report is Report.CENSORED]
    lost_at = min((one.happened_at for one in lost if one.happened_at), default=None)
    happened = bool(events) and not (event_at and lost_at and lost_at < event_at)
    looked = followed.covers(index.at.date(), due, index.site)
    if happened and outcome.kind is OutcomeKind.BINARY:
        if looked or any(_is_of_a_case(one, outcome) for one in mine):
            return State(EVENT, None, event_at, 1.0)
        return State(UNVERIFIED, "follow_up_not_shown", event_at)
    if lost:
        reason = next((one.reason for one in lost if one.reason), "left")
        return State(CENSORED, reason, event_at)
    return _seen_to_the_end(outcome, mine, events, event_at, looked)


def _seen_to_the_end(
    outcome: Outcome, mine: Sequence[Known], events: Sequence[Known], event_at: datetime | None, looked: bool
) -> State:
    """What is known of an episode that nobody was lost from: nothing, a sum, or what somebody said."""
    said = [one for one in mine if _tells_all(one, outcome)]
    if events or any(one.report is Report.NO_EVENT for one in said):
        if outcome.kind is OutcomeKind.BINARY:
            return State(NO_EVENT, None, None, 0.0)
        if looked or said or any(one.happened_at is None for one in events):
            total = sum(1.0 if one.value is None else one.value for one in events)
            return State(EVENT if total > 0 else NO_EVENT, None, event_at, total)
    if said:
        return State(UNVERIFIED, next((one.reason for one in said if one.reason), "not_tested"))
    if not looked:
        return State(UNVERIFIED, "follow_up_not_shown", event_at)
    return State(UNVERIFIED, "not_tested") if _lacks_test(outcome, mine) else State(NO_EVENT, value=0.0)


def _lacks_test(outcome: Outcome, mine: Sequence[Known]) -> bool:
    """Whether nobody tested for an outcome that only a test finds."""
    return bool(outcome.tested_by) and not any(one.report is Report.NO_EVENT for one in mine)


def _tells_all(one: Known, outcome: Outcome) -> bool:
    """Whether a row tells of the whole horizon, follow-up or not: a case does, a test of one day does not."""
    return one.report in _CASES and (not outcome.tested_by or _is_of_a_case(one, outcome))


def _is_mine(one: Known, index: Scored, ids: frozenset[str], start: datetime, ends: datetime) -> bool:
    """Whether a row is about this episode: by prediction, by encounter, or by its time within the window."""
    if one.prediction_id is not None:
        return one.prediction_id in ids
    if one.happened_at is not None and not start <= one.happened_at < ends:
        return False
    if one.encounter_key is not None and one.happened_at is None:
        return one.encounter_key == index.encounter_key
    return one.happened_at is not None


def _is_of_a_case(one: Known, outcome: Outcome) -> bool:
    """Whether the source tells of every case what became of it, and not of events alone."""
    by_case = outcome.table is not None and (outcome.table.label or outcome.table.state)
    return bool(by_case) or one.prediction_id is not None or one.happened_at is None


def _counts(one: Known, begins: datetime, ends: datetime) -> bool:
    return one.happened_at is None or begins <= one.happened_at < ends

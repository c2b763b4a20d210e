"""What is known of a prediction's outcome: a table to read line by line.

Each prediction is of 1 March, 12:00, with a horizon of 30 days: it is over on 31 March at noon, so the first
day on which it lies wholly behind is 1 April.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from cds_wrapper.ledger.episodes import Episode, Followed, Known, Scored, after, due_on, episodes_of
from cds_wrapper.ledger.outcomes import FollowUp, Report
from cds_wrapper.services.outcomes import (
    Codes,
    EpisodeKind,
    EpisodeRule,
    Index,
    Outcome,
    OutcomeKind,
    ResourceRule,
    Role,
    TableRule,
)

ASKED = datetime(2026, 3, 1, 12, tzinfo=UTC)
READMISSION = Outcome("readmission", "another stay", "P30D")
ALL_SPRING = Followed((FollowUp(date(2026, 2, 1), date(2026, 6, 1)),))
NOBODY = Followed(())
HALF_OF_IT = Followed((FollowUp(date(2026, 2, 1), date(2026, 3, 20)),))
LATER = date(2026, 5, 1)


def scored(
    at: datetime = ASKED,
    name: str = "p1",
    score: float = 0.2,
    encounter: str | None = "e1",
    site: str = "north",
) -> Scored:
    return Scored(name, at, score, score >= 0.5, encounter, site, {})


def on(month: int, day: int, report: Report = Report.EVENT, **more: object) -> Known:
    return replace(Known(report, datetime(2026, month, day, 8, tzinfo=UTC)), **more)  # type: ignore[arg-type]  # a row's columns


DIED = on(3, 9, Report.CENSORED, reason="competing_event")


def episode(
    known: list[Known],
    followed: Followed = ALL_SPRING,
    as_of: date = LATER,
    outcome: Outcome = READMISSION,
) -> Episode:
    (found,) = episodes_of([scored()], EpisodeRule(), outcome, known, followed, as_of)
    return found


@pytest.mark.parametrize(
    ("known", "followed", "as_of", "state", "reason"),
    [
        ([], ALL_SPRING, date(2026, 3, 31), "pending", "horizon_not_over"),
        # An event that is known early makes no early event: its cohort would lack the others.
        ([on(3, 10)], ALL_SPRING, date(2026, 3, 31), "pending", "horizon_not_over"),
        ([on(3, 10)], ALL_SPRING, LATER, "event", None),
        # Nobody looked until the end: no event is not known to have happened, nor not to have.
        ([], NOBODY, LATER, "unverified", "follow_up_not_shown"),
        ([], HALF_OF_IT, LATER, "unverified", "follow_up_not_shown"),
        # Nor does an event count where the others' half was not looked at: it would stand without non-events.
        ([on(3, 10)], NOBODY, LATER, "unverified", "follow_up_not_shown"),
        ([on(3, 10)], HALF_OF_IT, LATER, "unverified", "follow_up_not_shown"),
        ([on(3, 10, prediction_id="p1")], NOBODY, LATER, "event", None),
        # An event of the prediction, but after the horizon or of another one.
        ([on(4, 2, prediction_id="p1")], ALL_SPRING, LATER, "no_event", None),
        ([on(4, 2, prediction_id="p1")], NOBODY, LATER, "unverified", "follow_up_not_shown"),
        ([on(3, 10, prediction_id="p2")], ALL_SPRING, LATER, "no_event", None),
        # Whoever left cannot be known not to have had it; an event before that counts.
        ([on(3, 20, Report.CENSORED, reason="left")], ALL_SPRING, LATER, "censored", "left"),
        ([on(3, 20, Report.CENSORED, reason="left"), on(3, 10)], ALL_SPRING, LATER, "event", None),
        # Death after the horizon is over is no competing event of it.
        ([on(4, 2, Report.CENSORED, reason="competing_event")], ALL_SPRING, LATER, "no_event", None),
        ([], ALL_SPRING, LATER, "no_event", None),
        # Before the prediction and after the horizon is not within it.
        ([on(2, 27), on(4, 2)], ALL_SPRING, LATER, "no_event", None),
        # Death without the event, and the event before death.
        ([DIED], ALL_SPRING, LATER, "censored", "competing_event"),
        ([DIED], NOBODY, LATER, "censored", "competing_event"),
        ([on(3, 9, Report.CENSORED), on(3, 8)], ALL_SPRING, LATER, "event", None),
        ([on(3, 9, Report.CENSORED), on(3, 11)], ALL_SPRING, LATER, "censored", "left"),
        # A source that tells of the case itself proves it by itself.
        ([Known(Report.NO_EVENT, None, prediction_id="p1")], NOBODY, LATER, "no_event", None),
        ([Known(Report.EVENT, None, encounter_key="e1")], NOBODY, LATER, "event", None),
        ([Known(Report.EVENT, None, encounter_key="e2")], NOBODY, LATER, "unverified", "follow_up_not_shown"),
        ([Known(Report.UNVERIFIED, None, prediction_id="p1")], ALL_SPRING, LATER, "unverified", "not_tested"),
    ],
)
def test_what_is_known(
    known: list[Known], followed: Followed, as_of: date, state: str, reason: str | None
) -> None:
    found = episode(known, followed, as_of)

    assert (found.state.state, found.state.reason) == (state, reason)
    assert found.due_on == date(2026, 4, 1)


def test_a_prediction_of_yesterday_with_a_horizon_of_a_year_is_nowhere_a_negative() -> None:
    outcome = replace(READMISSION, horizon="P1Y")

    assert episode([], as_of=date(2026, 3, 2), outcome=outcome).state.state == "pending"
    assert episode([], as_of=date(2027, 3, 1), outcome=outcome).state.state == "pending"
    assert episode([], as_of=date(2027, 3, 2), outcome=outcome).state.state == "unverified"


def test_an_event_sooner_than_the_lead_time_leaves_the_episode_out() -> None:
    outcome = replace(READMISSION, lead_time=timedelta(hours=48))

    assert episode([on(3, 2)], outcome=outcome).state.reason == "excluded"
    assert episode([on(3, 4)], outcome=outcome).state.state == "event"


def test_a_table_that_tells_of_every_case_proves_its_events_too() -> None:
    by_case = replace(READMISSION, table=TableRule(patient="mrn", at="back", label="y"))

    assert episode([on(3, 10)], NOBODY, outcome=by_case).state.state == "event"
    assert episode([on(3, 10, Report.NO_EVENT)], NOBODY, outcome=by_case).state.state == "no_event"


def test_an_event_in_the_last_moment_counts_and_one_at_the_end_does_not() -> None:
    end = ASKED + timedelta(days=30)
    last, next_one = (Known(Report.EVENT, at) for at in (end - timedelta(milliseconds=1), end))

    assert episode([last]).state.state == "event"
    assert episode([next_one]).state.state == "no_event"
    assert episode([Known(Report.EVENT, ASKED)]).state.state == "event"


def test_times_of_other_zones_are_the_same_moments() -> None:
    in_auckland = timezone(timedelta(hours=13))
    before = Known(Report.EVENT, datetime(2026, 3, 2, 0, 59, tzinfo=in_auckland))
    after_it = Known(Report.EVENT, datetime(2026, 3, 2, 1, 1, tzinfo=in_auckland))

    assert episode([before]).state.state == "no_event"
    assert episode([after_it]).state.state == "event"


def test_follow_up_is_of_a_site_and_may_be_put_together() -> None:
    months = (FollowUp(date(2026, 2, 1), date(2026, 3, 15)), FollowUp(date(2026, 3, 15), date(2026, 5, 1)))

    assert episode([], Followed(months)).state.state == "no_event"
    assert episode([], Followed(months[:1])).state.state == "unverified"
    south = tuple(replace(one, site="south") for one in months)
    north = tuple(replace(one, site="north") for one in months)
    assert episode([], Followed(south)).state.state == "unverified"
    assert episode([], Followed(north)).state.state == "no_event"


def test_a_month_without_a_feed_is_seen_as_not_known_and_not_as_no_event() -> None:
    periods = (FollowUp(date(2025, 11, 1), date(2026, 3, 1)), FollowUp(date(2026, 4, 1), date(2026, 7, 1)))

    states = [
        next(iter(episodes_of([scored(ASKED + timedelta(days=30 * n))], EpisodeRule(), READMISSION, [],
                              Followed(periods), date(2026, 8, 1)))).state.state
        for n in (-2, 0, 2)
    ]  # fmt: skip

    assert states == ["no_event", "unverified", "no_event"]


def test_counts_and_costs_add_up_and_are_nothing_only_when_somebody_looked() -> None:
    illness = Outcome("illness", "illness", "P30D", OutcomeKind.COUNT, Role.NEED)
    costs = Outcome("cost", "cost", "P30D", OutcomeKind.COST)
    bills = [on(3, 5, value=120.0), on(3, 20, value=80.5)]

    assert episode([on(3, 5), on(3, 20)], outcome=illness).state.value == 2
    assert episode(bills, outcome=costs).state.value == 200.5
    assert (episode([], outcome=costs).state.state, episode([], outcome=costs).state.value) == ("no_event", 0)
    assert episode(bills, NOBODY, outcome=costs).state.state == "unverified"


HOURLY = [scored(ASKED + timedelta(hours=n), f"p{n}", s) for n, s in enumerate((0.2, 0.6, 0.9, 0.4))]


@pytest.mark.parametrize(
    ("rule", "stands"),
    [(Index.FIRST, "p0"), (Index.FIRST_FLAGGED, "p1"), (Index.MAXIMUM, "p2")],
)
def test_one_prediction_stands_for_an_episode(rule: Index, stands: str) -> None:
    (found,) = episodes_of(HOURLY, EpisodeRule(index=rule), READMISSION, [], ALL_SPRING, LATER)

    assert (found.index.prediction_id, found.predictions) == (stands, 4)


def test_predictions_of_two_encounters_are_two_episodes_only_when_encounters_count() -> None:
    both = [scored(), scored(ASKED + timedelta(days=3), "p2", encounter="e2")]

    def made(kind: EpisodeKind) -> int:
        return len(list(episodes_of(both, EpisodeRule(kind), READMISSION, [], ALL_SPRING, LATER)))

    assert (made(EpisodeKind.ENCOUNTER), made(EpisodeKind.HORIZON)) == (2, 1)
    both[1] = replace(both[1], at=ASKED + timedelta(days=30))
    assert made(EpisodeKind.HORIZON) == 2


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        (datetime(2026, 1, 31, 9, tzinfo=UTC), "P1M", datetime(2026, 2, 28, 9, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), "P1Y", datetime(2025, 2, 28, tzinfo=UTC)),
        (datetime(2026, 3, 1, 9, tzinfo=UTC), "P10Y", datetime(2036, 3, 1, 9, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), "P2M", datetime(2027, 2, 28, tzinfo=UTC)),
        (datetime(2026, 3, 1, tzinfo=UTC), "PT36H", datetime(2026, 3, 2, 12, tzinfo=UTC)),
    ],
)
def test_a_horizon_goes_by_the_calendar(start: datetime, duration: str, end: datetime) -> None:
    assert after(start, duration) == end


def test_a_horizon_that_ends_at_midnight_is_over_on_that_day() -> None:
    assert due_on(datetime(2026, 3, 1, tzinfo=UTC), "P30D") == date(2026, 3, 31)
    assert due_on(datetime(2026, 3, 1, 0, 1, tzinfo=UTC), "P30D") == date(2026, 4, 1)


CULTURE = ResourceRule("Observation", {"code": Codes.written("600-7")}, {}, ("effectiveDateTime",))


@pytest.mark.parametrize(
    ("known", "followed", "state", "reason"),
    [
        # Followed and never tested: nobody knows.
        ([], ALL_SPRING, "unverified", "not_tested"),
        ([on(3, 10, Report.NO_EVENT)], ALL_SPRING, "no_event", None),
        ([on(3, 10, Report.NO_EVENT), on(3, 12)], ALL_SPRING, "event", None),
        # A test of one day does not speak for the days nobody looked at, nor does one before the prediction.
        ([on(3, 10, Report.NO_EVENT)], NOBODY, "unverified", "follow_up_not_shown"),
        ([on(2, 10, Report.NO_EVENT)], ALL_SPRING, "unverified", "not_tested"),
    ],
)
def test_without_a_test_an_outcome_that_only_a_test_finds_is_not_known(
    known: list[Known], followed: Followed, state: str, reason: str | None
) -> None:
    found = episode(known, followed, outcome=replace(READMISSION, tested_by=(CULTURE,))).state

    assert (found.state, found.reason) == (state, reason)

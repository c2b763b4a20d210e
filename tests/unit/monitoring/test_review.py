"""A whole review over made episodes: what is planted is found, published once, and stands until closed."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.editions import close_finding, findings_in, published_in, reviews_in
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.past import answered, local_in_force, past_of
from cds_wrapper.monitoring.review import Place, looked_at, publish
from cds_wrapper.monitoring.reviewed import Reviewed, document
from cds_wrapper.services import load_services
from tests.unit.monitoring.made import written

(SERVICE,) = load_services(Path(__file__).parents[3] / "hooks").of("readmission")
LIVE = dt.date(2026, 1, 1)
AS_OF = dt.date(2026, 12, 31)
Row = Mapping[str, Any]


def episodes(ratio_of: Callable[[str], float], seed: int = 1, count: int = 9000, **usual: Any) -> list[Row]:
    """A year of episodes; `ratio_of` gives how often a race's score comes true."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        race = draw.choices(("white", "black", "asian"), (0.7, 0.25, 0.05))[0]
        score = draw.uniform(0.03, 0.3)
        day = LIVE + dt.timedelta(days=draw.randrange(330))
        due = day + dt.timedelta(days=31)
        came = draw.random() < min(1.0, score * ratio_of(race))
        state = ("event" if came else "no_event") if due <= AS_OF else "pending"
        rows.append(
            {
                "service_id": SERVICE.id,
                "model_id": SERVICE.card.id,
                "model_version": SERVICE.card.version,
                "outcome": SERVICE.outcome.name,
                "patient_key": f"p{number}",
                "race": race,
                "age_band": draw.choice(("40-59", "60-79")),
                "sex": draw.choice(("female", "male")),
                "score": score,
                "flagged": score >= (SERVICE.threshold or 1),
                "day": day,
                "due_on": due,
                "state": state,
                "label": {"event": 1, "no_event": 0}.get(state),
                "matured_on": due if state != "pending" else None,
                "site": "north",
                **usual,
            }
        )
    return rows


class Hospital:
    """A ledger, and reviews over episodes."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder / "ledger.db", folder / "data")
        prepare(self.place.ledger)
        self._ids = iter(range(1_000))

    def review(self, rows: list[Row], as_of: dt.date = AS_OF) -> Reviewed:
        with parquet_source(written(self.place.folder / f"{next(self._ids)}", rows)) as source:
            past = past_of(self.place.ledger, SERVICE)
            done = looked_at(source, SERVICE, as_of, past, len(rows), lambda _: None)
        publish(self.place, done, lambda: f"id-{next(self._ids)}")
        return done

    @property
    def editions(self) -> int:
        return len(published_in(self.place.ledger).get(SERVICE.id, ()))


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def planted(race: str) -> float:
    return 1.9 if race == "black" else 1.0


def kinds(done: Reviewed) -> set[tuple[str, str]]:
    return {(one.kind, str(dict(one.groups))) for one in done.opened}


def test_a_planted_gap_is_found_published_and_stands_until_two_roles_close_it(hospital: Hospital) -> None:
    rows = episodes(planted)
    first = hospital.review(rows)
    black = {one.finding_id: one for one in first.opened if one.groups == {"race": ("black",)}}
    assert ("group_drift", "{'race': ('black',)}") in kinds(first)
    assert all(one.direction == "scores_too_low" for one in black.values())
    assert not any("white" in groups or "asian" in groups for _, groups in kinds(first))
    local = local_in_force(hospital.place.ledger, SERVICE)
    assert local == first.local and hospital.editions == 1
    assert first.edition is not None
    carded = {finding.id: finding for finding in first.edition.findings}
    (drift,) = (name for name, one in black.items() if one.kind == "group_drift")
    assert carded[drift].signed and carded[drift].where == {"race": ("black",)}

    again = hospital.review(rows, AS_OF + dt.timedelta(days=1))
    assert (again.opened, again.edition, hospital.editions) == ((), None, 1)
    assert {one.finding_id for one in again.standing} == {one.finding_id for one in first.opened}
    fair = hospital.review(episodes(lambda _: 1.0), AS_OF + dt.timedelta(days=2))
    assert drift in {one.finding_id for one in fair.standing}, "figures that became better close nothing"

    assert close_finding(hospital.place.ledger, drift, "clinical owner", "chair", "explained")
    after = hospital.review(episodes(lambda _: 1.0), AS_OF + dt.timedelta(days=3))
    assert drift not in {one.finding_id for one in after.standing}
    assert after.edition is not None and drift not in {one.id for one in after.edition.findings}
    assert audit(hospital.place.ledger).is_whole, "every row is as the kept result of its review says"


def test_where_the_score_is_right_for_all_nothing_is_found(hospital: Hospital) -> None:
    done = hospital.review(episodes(lambda _: 1.0, seed=7))
    assert kinds(done) == set()
    assert done.edition is not None and hospital.editions == 1


def test_a_model_that_is_off_for_all_is_found_once_for_everybody(hospital: Hospital) -> None:
    done = hospital.review(episodes(lambda _: 1.5))
    assert ("model_off", "{}") in kinds(done)
    assert not any(kind == "group_drift" for kind, _ in kinds(done))


def test_dated_reviews_come_once_a_quarter_and_are_numbered(hospital: Hospital) -> None:
    rows = episodes(lambda _: 1.0, count=2000)
    days = [AS_OF + dt.timedelta(days=days) for days in (0, 1, 90, 91, 200)]
    dated = [hospital.review(rows, day).dated for day in days]
    assert dated == [1, None, None, 2, 3]
    assert [one.dated for one in reviews_in(hospital.place.ledger, SERVICE.id)] == dated


def test_a_feed_that_stops_is_falling_follow_up(hospital: Hospital) -> None:
    rows = episodes(lambda _: 1.0, count=6000)
    stopped = [
        {**row, "state": "unverified", "label": None, "matured_on": None}
        if dt.date(2026, 10, 15) <= row["due_on"] <= AS_OF
        else row
        for row in rows
    ]
    done = hospital.review(stopped)
    assert ("follow_up_falling", "{}") in kinds(done)
    assert done.edition is not None
    assert not any(finding.is_local for finding in done.edition.findings), "listed, and on no card"


def test_what_people_closed_is_not_opened_again_by_the_same_quarter(
    hospital: Hospital,
) -> None:
    rows = [
        {**row, "state": "unverified", "label": None, "matured_on": None}
        if dt.date(2026, 10, 15) <= row["due_on"] <= AS_OF
        else row
        for row in episodes(lambda _: 1.0, count=2000)
    ]
    (falling,) = (one for one in hospital.review(rows).opened if one.kind == "follow_up_falling")
    assert close_finding(hospital.place.ledger, falling.finding_id, "clinical owner", "chair", "mended")
    (row,) = (one for one in findings_in(hospital.place.ledger) if one.finding_id == falling.finding_id)
    assert row.closed_at is not None
    closed = row.closed_at.date()

    assert answered([row], closed + dt.timedelta(days=90), dt.timedelta(days=91)) == [row]
    assert answered([row], closed + dt.timedelta(days=91), dt.timedelta(days=91)) == []
    assert hospital.review(rows, AS_OF + dt.timedelta(days=1)).opened == ()


def test_values_that_go_missing_are_found_by_attribute(hospital: Hospital) -> None:
    rows: list[Row] = [
        {**row, "subgroups": '["sex=missing:absent"]'}
        if row["day"] > dt.date(2026, 10, 15) and number % 3 == 0
        else {**row, "subgroups": '["sex=female"]'}
        for number, row in enumerate(episodes(lambda _: 1.0, count=6000))
    ]
    assert ("missing_rising", "{'sex': ('missing',)}") in kinds(hospital.review(rows))


def test_the_kept_result_tells_what_the_plan_says_and_no_figures_of_a_handful(hospital: Hospital) -> None:
    done = hospital.review(episodes(planted, count=3000))
    told = document(done)
    assert all(finding["plan"] and finding["what"] and finding["sure"] for finding in told["findings"])
    assert findings_in(hospital.place.ledger)
    small = [one for one in told["groups"] if one["group"] == "race=nhpi"]
    assert {one["figures"] for one in small} == {None}
    times = next(one for one in told["groups"] if one["group"] == "race=white")["months_to_find"]
    assert times["1.85"] < times["1.5"]


def test_predictions_made_yesterday_are_nowhere_a_negative(hospital: Hospital) -> None:
    pending = replace(hospital.review(episodes(lambda _: 1.0, count=500, state="pending", label=None)))
    (everybody, *_) = pending.figures.groups
    assert everybody.counts["no_event"] == 0 and everybody.counts["pending"] == 500
    assert pending.opened == ()
    assert {one.grade.value for one in pending.local.results} == {"none"}

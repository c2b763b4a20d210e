"""Inputs, service, feedback and follow-up by group: what the query says is what plain Python counts."""

from __future__ import annotations

import json
import statistics
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from ibis import _

from cds_wrapper.caveats.codings import NON_ADHERENCE_REASONS
from cds_wrapper.monitoring.by_group import (
    Period,
    counts_by_attribute,
    group_of,
    monitored,
    per_group,
    quarter_up_to,
    read,
    within,
)
from cds_wrapper.monitoring.feedback import DISTRUST, feedback
from cds_wrapper.monitoring.input_quality import input_ages, input_quality
from cds_wrapper.monitoring.service_equity import service_equity
from cds_wrapper.monitoring.strata import follow_up, strata
from cds_wrapper.monitoring.values import EVERYBODY, Group
from cds_wrapper.services import load_services
from tests.unit.monitoring.exported import (
    Row,
    counted,
    day,
    episodes,
    how_many,
    in_group,
    predictions,
    write,
)

ATTRIBUTES = ("race", "sex", "race*sex")
HOOKS = Path(__file__).resolve().parents[3] / "hooks"
PREDICTIONS, EPISODES = predictions(), episodes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported")
    write(place, "predictions", PREDICTIONS)
    write(place, "episodes", EPISODES)
    return place


def text_of(group: Group) -> str:
    return f"{group.attribute}={group.level}" if group.where else ""


def answered(group: Group) -> list[Row]:
    return [row for row in in_group(counted(PREDICTIONS), text_of(group)) if row["status"] == "answered"]


def test_a_service_without_an_export_has_no_rows(folder: Path) -> None:
    assert read(folder, "predictions", "another") is None
    assert read(folder, "nothing", "s") is None


def test_every_group_is_there_once_with_everybody_first_and_no_attribute_that_is_not_monitored(
    folder: Path,
) -> None:
    groups = [row.group for row in service_equity(read(folder, "predictions", "s"), ATTRIBUTES)]
    assert groups[0] == EVERYBODY
    assert len(groups) == len(set(groups)) == 1 + 2 + 3 + 6
    assert {group.attribute for group in groups[1:]} == set(ATTRIBUTES)


def test_the_service_of_each_group_is_what_is_counted(folder: Path) -> None:
    found = service_equity(read(folder, "predictions", "s"), ATTRIBUTES)
    for row in found:
        own = in_group(counted(PREDICTIONS), text_of(row.group))
        assert row.n == len(own)
        assert row.answered == how_many(own, lambda one: one["status"] == "answered")
        assert row.timed_out == how_many(own, lambda one: one["status"] == "timed_out")
        assert row.withheld == how_many(own, lambda one: one["disposition"] == "withhold")
        assert row.median_ms == pytest.approx(statistics.median(one["total_ms"] for one in own))
    women = next(row for row in found if row.group == group_of("sex=female"))
    assert women.answered / women.n < found[0].answered / found[0].n


def test_missing_and_doubtful_inputs_of_each_group_are_what_is_counted(folder: Path) -> None:
    for row in input_quality(read(folder, "predictions", "s"), ATTRIBUTES):
        own = answered(row.group)
        assert row.n == len(own)
        assert row.missing == how_many(own, lambda one: one["inputs_missing"] != "[]")
        assert row.doubtful == how_many(own, lambda one: one["inputs_doubtful"] not in {None, "[]"})


def test_nothing_is_said_of_doubt_where_no_prediction_says_anything(tmp_path: Path) -> None:
    silent = [{**row, "inputs_doubtful": None} for row in PREDICTIONS]
    silent[0]["inputs_doubtful"] = "[]"  # a test patient: a column of nulls alone has no type
    write(tmp_path, "predictions", silent)
    found = input_quality(read(tmp_path, "predictions", "s"), ATTRIBUTES)
    assert {row.doubtful for row in found} == {None}


def test_the_age_of_an_input_is_told_by_group_and_one_without_a_value_has_none(folder: Path) -> None:
    found = input_ages(read(folder, "predictions", "s"), ATTRIBUTES)
    assert {row.input for row in found} == {"stay"}
    for row in found:
        ages = [json.loads(one["inputs"])["features"]["stay"]["age_s"] for one in answered(row.group)]
        assert row.n == len(ages)
        assert row.median.total_seconds() == pytest.approx(statistics.median(ages))
        assert row.nine_in_ten >= row.median


def test_rows_that_do_not_carry_their_inputs_have_no_ages(folder: Path) -> None:
    table = read(folder, "predictions", "s")
    assert table is not None
    assert input_ages(table.drop("inputs"), ATTRIBUTES) == ()


def test_feedback_of_each_group_is_what_is_counted_and_only_of_cards_that_were_shown(folder: Path) -> None:
    for row in feedback(read(folder, "episodes", "s"), ("sex", "race")):
        own = [one for one in in_group(EPISODES, text_of(row.group)) if one["displayed"] == "shown"]
        overridden = [one for one in own if one["action"] == "overridden"]
        assert row.shown == len(own)
        assert row.told == how_many(own, lambda one: one["action"] != "none")
        assert row.overridden == len(overridden)
        assert row.distrusted == how_many(overridden, lambda one: one["override_reason"] == DISTRUST)


def test_the_reason_counted_as_distrust_is_one_that_cards_offer() -> None:
    assert DISTRUST in {reason["code"] for reason in NON_ADHERENCE_REASONS}


def test_strata_hold_mature_episodes_alone_and_each_once(folder: Path) -> None:
    found = [row for row in strata(read(folder, "episodes", "s"), ("sex",)) if row.group == EVERYBODY]
    mature = [row for row in EPISODES if row["label"] is not None]
    assert sum(row.n for row in found) == len(mature)
    assert sum(row.events for row in found) == how_many(mature, lambda one: one["label"] == 1)
    for row in found:
        own = [one for one in mature if is_in(one, row)]
        assert row.n == len(own)
        assert row.expected == pytest.approx(sum(one["score"] for one in own))
        assert row.ratio.value == pytest.approx(row.events / row.expected)


def is_in(one: Row, stratum: Any) -> bool:
    is_shown = one["displayed"] == "shown"
    keys = (one["flagged"], is_shown, one["action"])
    return keys == (stratum.flagged, stratum.shown, stratum.action)


def test_follow_up_is_of_episodes_that_are_due(folder: Path) -> None:
    for row in follow_up(read(folder, "episodes", "s"), ("sex",)):
        own = [one for one in in_group(EPISODES, text_of(row.group)) if one["flagged"] == row.flagged]
        assert row.due == how_many(own, lambda one: one["state"] != "pending")
        assert row.known == how_many(own, lambda one: one["label"] is not None)
        assert row.due == row.known + row.unverified + row.censored
        assert row.events == how_many(own, lambda one: one["state"] == "event")


def test_a_period_holds_its_first_day_and_not_its_end(folder: Path) -> None:
    period = Period(date(2026, 2, 1), date(2026, 3, 1))
    found = within(read(folder, "episodes", "s"), period).count().to_pyarrow().as_py()
    assert found == how_many(EPISODES, lambda one: period.first <= day(dict(one)) < period.end)
    assert 0 < found < len(EPISODES)


def test_a_quarter_ends_with_the_day_and_follows_the_one_before() -> None:
    quarter = quarter_up_to(date(2026, 6, 30))
    assert quarter.end - quarter.first == timedelta(days=91)
    assert quarter.end == date(2026, 7, 1)
    assert quarter.before.end == quarter.first


def test_crossings_are_counted_and_are_no_attribute_of_their_own(folder: Path) -> None:
    rows = per_group(read(folder, "predictions", "s"), ATTRIBUTES, {"n": _.count()})
    counts = counts_by_attribute(rows)
    assert set(counts) == {"race", "sex"}
    assert sum(counts["sex"].values()) == len(counted(PREDICTIONS))
    assert counts["sex"]["missing:absent"] > 0


def test_a_group_is_read_from_its_text_whatever_its_levels_hold() -> None:
    assert group_of("age_band=<20") == Group((("age_band", "<20"),))
    assert group_of("race*age_band=black*20-39") == Group((("race", "black"), ("age_band", "20-39")))
    assert group_of("") == EVERYBODY


def test_only_what_the_equity_lead_wants_monitored_is() -> None:
    scheme = load_services(HOOKS).of("readmission")[0].scheme
    assert "race*age_band" in monitored(scheme)
    assert {"race", "sex", "age_band"} <= monitored(scheme)

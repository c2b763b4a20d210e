"""A synthetic year as episodes, straight from its lives: what the chain of commands makes of it, in a second.

Groups come from the Patient resource by the program's own readers, states from its own rules of what is known
when. What is left out is the road there: calls, ledger, import and export, which one year goes for all.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cds_wrapper.demo.patient_resource import write_birth_date, write_patient
from cds_wrapper.demo.profiles import Profile
from cds_wrapper.demo.readmission import load_model
from cds_wrapper.demo.year_lives import Discharge, Year, age_on, live
from cds_wrapper.ledger.episodes import Episode, Followed, Known, Scored, episodes_of
from cds_wrapper.ledger.outcomes import FollowUp, Report
from cds_wrapper.ledger.parquet import episode_schema
from cds_wrapper.monitoring.attributes import (
    Base,
    Partition,
    base_of,
    member_base,
    member_of,
    monitored,
    partitions,
)
from cds_wrapper.monitoring.cube import STATES
from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.budget import EVENTS_TO_FIX, Budget, contrast_design_effect, divisor
from cds_wrapper.monitoring.formulas.clustered import PatientSums, design_effect, independent_oe
from cds_wrapper.monitoring.formulas.restarts import log_e_ratio_restarts, log_e_restarts
from cds_wrapper.monitoring.formulas.sequences import Sides, log_e_ratio, log_e_running, steps
from cds_wrapper.monitoring.values import EVERYBODY, DailySums, Group, GroupFigures, ServiceFigures
from cds_wrapper.patient.demographics import describe
from cds_wrapper.services import load_services

Ints = NDArray[np.int64]
ENDS: Final = dt.date(2026, 6, 30)
(SERVICE,) = load_services(Path(__file__).parents[4] / "hooks").of("readmission")
MODEL: Final = load_model()
_KINDS: Final[dict[Any, dict[str, Any]]] = {}


def lived(seed: int, **usual: Any) -> Year:
    """The year of this seed."""
    return live(MODEL, ENDS, seed=seed, **usual)


Row = Mapping[str, Any]


def episode_rows(year: Year) -> list[Row]:
    """The rows of `episodes_v1` of a year, as of its end; a column that is not in them is empty."""
    asked: dict[int, list[Discharge]] = defaultdict(list)
    for one in year.discharges:
        asked[one.patient].append(one)
    known: dict[int, list[Known]] = defaultdict(list)
    for stay in year.admissions:
        if not stay.planned and stay.admitted < year.end:
            known[stay.patient].append(Known(Report.EVENT, stay.admitted))
    for patient, died in year.deaths.items():
        if died < year.end:
            known[patient].append(Known(Report.CENSORED, died, reason="competing_event"))
    followed = Followed((FollowUp(year.start.date(), year.end.date(), None),))
    rows: list[Row] = []
    for patient, discharges in asked.items():
        born = dt.date.fromisoformat(write_birth_date(year.profiles[patient], year.end.date()))
        scored = [_scored(one, year, born) for one in discharges]
        about = SERVICE.episodes, SERVICE.outcome, known[patient], followed, year.end.date()
        rows.extend({**one.index.row, **_known(one, year)} for one in episodes_of(scored, *about))
    return rows


def table(rows: Sequence[Row]) -> Any:
    """The same as an Arrow table, for the engines."""
    schema = episode_schema()
    return pa.Table.from_pydict({name: [row.get(name) for row in rows] for name in schema.names}, schema)


def _scored(asked: Discharge, year: Year, born: dt.date) -> Scored:
    name = _name(asked)
    profile = year.profiles[asked.patient]
    flagged = asked.risk >= (SERVICE.threshold or 1.0)
    row = {
        "episode_id": name,
        "patient_key": str(asked.patient),
        "service_id": SERVICE.id,
        "model_id": SERVICE.card.id,
        "model_version": SERVICE.card.version,
        "environment": "development",
        "occurred_at": asked.discharged,
        "day": asked.discharged.date(),
        "score": asked.risk,
        "score_kind": "probability",
        "flagged": flagged,
        "displayed": "shown",
        "delivery": "sent",
        "action": "none",
        **groups_of(profile, asked, year, born),
    }
    return Scored(name, asked.discharged, asked.risk, flagged, name, None, row)


def _name(asked: Discharge) -> str:
    return f"{asked.patient}-{asked.number}"


def groups_of(profile: Profile, asked: Discharge, year: Year, born: dt.date) -> Mapping[str, Any]:
    """The columns of a patient's groups: read once for all who differ in nothing that is read."""
    age = age_on(asked.discharged.date(), born)
    kind = (profile.gender, profile.birth_sex, profile.race, profile.ethnicity, profile.language, age)
    if kind not in _KINDS:
        patient = msgspec.json.encode(write_patient(profile, year.end.date()))
        found = describe(patient, asked.discharged, SERVICE.rules)
        subgroups = SERVICE.scheme.assign(found)
        members = found["race"].members
        columns = {name: one.level for name, one in found.items()}
        _KINDS[kind] = {
            **columns,
            "race_members": f"|{'|'.join(members)}|" if members else None,
            "subgroups": json.dumps(subgroups.texts()),
        }
    return _KINDS[kind]


def _known(one: Episode, year: Year) -> Mapping[str, Any]:
    state = one.state.state
    label = {"event": 1, "no_event": 0}.get(state)
    return {
        "predictions": one.predictions,
        "outcome": SERVICE.outcome.name,
        "state": state,
        "state_reason": one.state.reason,
        "label": label,
        "event_at": one.state.event_at,
        "due_on": one.due_on,
        "matured_on": None if label is None else one.due_on,
        "as_of": year.end.date(),
    }


@dataclass(frozen=True, slots=True)
class Rows:
    """A year's mature episodes as arrays, in order of maturity, and the partitions of its groups.

    `cells` has the cell of each row per partition. `day` counts from 1970, the day on which a row matured.
    """

    day: Ints
    patient: Ints
    risk: Floats
    truth: Floats
    event: Floats
    partitions: tuple[Partition, ...]
    cells: tuple[Ints, ...]
    first: dt.date


def mature_rows(year: Year, rows: Sequence[Row]) -> Rows:
    """The rows that are known, without a database: the same groups in the same order as `measure` has."""
    known = sorted((row for row in rows if row["label"] is not None), key=lambda row: row["due_on"])
    truth = {_name(one): one.truth for one in year.discharges}
    attributes = monitored(SERVICE)
    bases = {
        name: base_of(name, list({row[name] for row in rows}), attributes.levels.get(name, ()))
        for name in attributes.attributes
    }
    bases |= {base.name: base for base in map(member_base, attributes.in_combination)}
    codes = {name: _codes(known, base) for name, base in bases.items()}
    found = tuple(partitions(attributes, bases))
    return Rows(
        day=np.asarray([row["due_on"].toordinal() for row in known], dtype=np.int64),
        patient=np.asarray([int(row["patient_key"]) for row in known], dtype=np.int64),
        risk=np.asarray([row["score"] for row in known]),
        truth=np.asarray([truth[row["episode_id"]] for row in known]),
        event=np.asarray([row["label"] for row in known], dtype=np.float64),
        partitions=found,
        cells=tuple(_cells(one, codes, len(known)) for one in found),
        first=min(row["day"] for row in rows),
    )


def _codes(rows: Sequence[Row], base: Base) -> Ints:
    race = member_of(base)
    if race is None:
        place = {level: code for code, level in enumerate(base.levels)}
        return np.asarray([place[row[base.name]] for row in rows], dtype=np.int64)
    members = [row["race_members"] for row in rows]
    return np.asarray([2 if one is None else int(f"|{race}|" in one) for one in members], dtype=np.int64)


def _cells(partition: Partition, codes: Mapping[str, Ints], count: int) -> Ints:
    cell = np.zeros(count, dtype=np.int64)
    for base in partition.bases:
        cell = cell * base.size + codes[base.name]
    return cell


@dataclass(frozen=True, slots=True)
class Split:
    """One group: which rows are its own, and which are everybody else's with a value on record."""

    group: Group
    own: NDArray[np.bool_]
    rest: NDArray[np.bool_]


def splits(rows: Rows) -> tuple[Split, ...]:
    """Everybody first, then every group, in the order in which `measure` gives them."""
    found = []
    for partition, cells in zip(rows.partitions, rows.cells, strict=True):
        for group, cell in partition.groups:
            found.append(Split(group, cells == cell, np.isin(cells, partition.rest(cell))))
    return tuple(found)


def figures_of(rows: Rows, wanted: Sequence[Split], upto: dt.date, effects: bool = True) -> ServiceFigures:
    """What the daily look needs of these groups (everybody first) as of a day, by the program's formulas.

    Without `effects` no evidence is divided for patients who come again: whatever rings, rings then too.
    """
    is_due = rows.day <= upto.toordinal()
    groups, everybody = list[GroupFigures](), 1.0
    for one in wanted:
        own, rest = one.own & is_due, one.rest & is_due
        effect = _effect(rows, own, everybody) if effects else 1.0
        everybody = effect if one.group == EVERYBODY else everybody
        counts = dict.fromkeys(STATES, 0) | {"event": int(rows.event[own].sum())}
        groups.append(GroupFigures(one.group, (), _daily(rows, own, rest), counts, effect))
    about = (SERVICE.id, SERVICE.card.id, SERVICE.card.version, SERVICE.outcome.name)
    return ServiceFigures(*about, SERVICE.threshold, upto, tuple(groups))


def _daily(rows: Rows, own: NDArray[np.bool_], rest: NDArray[np.bool_]) -> DailySums:
    if not (own | rest).any():
        return DailySums((), (), (), (), ())
    start = int(rows.day[0])
    day = rows.day - start
    there = np.flatnonzero(np.bincount(day[own | rest]))

    def summed(which: NDArray[np.bool_], what: Floats) -> tuple[float, ...]:
        return tuple(np.bincount(day[which], what[which], int(there[-1]) + 1)[there].tolist())

    return DailySums(
        tuple(dt.date.fromordinal(one) for one in (start + there).tolist()),
        summed(own, rows.event),
        summed(own, rows.risk),
        summed(rest, rows.event),
        summed(rest, rows.risk),
    )


def _effect(rows: Rows, own: NDArray[np.bool_], everybody: float) -> float:
    """The design effect of O/E among these rows, from sums per patient."""
    patient, x, y = rows.patient[own], rows.event[own], rows.risk[own]
    if not len(patient):
        return max(1.0, everybody)
    events, expected = np.bincount(patient, x), np.bincount(patient, y)
    sums = PatientSums(
        float(x.sum()),
        float(y.sum()),
        float(events @ events),
        float(events @ expected),
        float(expected @ expected),
        int((np.bincount(patient) > 0).sum()),
    )
    alone = independent_oe(sums.x, sums.y, float(y @ y))
    return design_effect(sums.variance, alone, int((events > 0.5).sum()), everybody)


def rings_on(one: GroupFigures, by: float, budget: Budget, first: dt.date) -> dt.date | None:
    """The day on which the daily look rings when all evidence is divided by this: what `look` says of it."""
    sums = one.daily
    if not sums.days:
        return None
    days = np.asarray([(day - first).days for day in sums.days], dtype=np.int64)
    seen, mean = np.asarray(sums.group_events), np.asarray(sums.group_expected)
    if one.group == EVERYBODY:
        seen, mean, bar = np.cumsum(seen) / by, np.cumsum(mean) / by, budget.for_model.log_bar
        log_e = np.maximum(log_e_ratio(seen, mean), log_e_ratio_restarts(seen, mean, days))
    else:
        sides = Sides(seen, np.asarray(sums.rest_events), mean, np.asarray(sums.rest_expected), by)
        collected, bar = np.cumsum(steps(sides), axis=0), budget.daily([False] * budget.groups)[0].log_bar
        log_e = np.maximum(log_e_running(collected), log_e_restarts(collected, days))
    reached = np.flatnonzero(log_e >= bar)
    return sums.days[reached[0]] if reached.size else None


def usual_by_day(rows: Rows) -> dict[int, float]:
    """Everybody's design effect on each day on which outcomes are known, to the end of the year."""
    days = range(int(rows.day[0]), ENDS.toordinal() + 1)
    return {day: _effect(rows, rows.day <= day, 1.0) for day in days}


def divisors_by_day(rows: Rows, one: Split, since: dt.date, usual: Mapping[int, float]) -> list[float]:
    """By what a group's evidence is divided on each day from one on, by the program's formulas."""
    found, was_fixed = list[float](), False
    for day in range(since.toordinal(), ENDS.toordinal() + 1):
        is_due = rows.day <= day
        events, others = (float(rows.event[side & is_due].sum()) for side in (one.own, one.rest))
        estimate = usual[day] if one.group == EVERYBODY else 1.0
        if events and others:
            effect = _effect(rows, one.own & is_due, usual[day])
            estimate = contrast_design_effect(effect, events, usual[day], others)
        found.append(divisor(estimate, events, found[-1] if was_fixed else None))
        was_fixed = events >= EVENTS_TO_FIX
    return found


def truly(rows: Rows, one: Split, since: dt.date, upto: dt.date) -> tuple[float, float]:
    """A group's true O/E of what matured between two days, and how many times that of the rest it is."""
    between = (rows.day >= since.toordinal()) & (rows.day <= upto.toordinal())
    own, rest = one.own & between, one.rest & between
    ratio = float(rows.truth[own].sum() / rows.risk[own].sum())
    others = float(rows.truth[rest].sum() / rows.risk[rest].sum()) if rest.any() else 1.0
    return ratio, ratio / others

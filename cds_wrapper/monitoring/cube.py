"""The additive cube: counts and sums by group, bin of the score, flag, state and action, as Ibis expressions.

Every figure but the errors of patients who come again follows from it. Cells of two days or two sites are
added. One expression serves DuckDB over Parquet, PostgreSQL and Spark.

The episodes are first brought into a narrow form (`coded`): a number for each level, the bin, the logit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import ibis
import numpy as np

from cds_wrapper.ledger.columns import DEMOGRAPHIC_COLUMNS
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS
from cds_wrapper.monitoring.attributes import (
    NOT_READ,
    Base,
    MonitoredAttributes,
    Partition,
    base_of,
    member_base,
    member_of,
)
from cds_wrapper.monitoring.formulas.bins import BINS, CLIP, EDGE
from cds_wrapper.services.outcomes import Index

STATES: Final = ("event", "no_event", "pending", "censored", "unverified")
EVENT, NO_EVENT, PENDING, CENSORED, UNVERIFIED = range(5)
ACTIONS: Final = ("none", "accepted", "overridden")
SUMS: Final = ("n", "sum_p", "sum_p2", "sum_logit_p", "sum_logit_p2")
PROBABILITY: Final = "probability"
FROZEN_ON: Final = 20_000
"""Edges of scores that are no probabilities come from the version's first predictions, so they stay."""

_NO_LEVELS: Final = frozenset(column.name for column in EPISODE_COLUMNS) - {
    column.name for column in DEMOGRAPHIC_COLUMNS
}
"""Columns that an attribute of the same name is not about."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: one service, model version and outcome, as of a day; `since` leaves older days out.

    `level` is that of every interval: that of one figure looked at by itself, unless a review says otherwise.
    `frozen_on` is how many of the first predictions fix the edges of bins between quantiles.
    """

    service_id: str
    model_id: str
    model_version: str
    outcome: str
    as_of: date
    threshold: float | None = None
    score_kind: str = PROBABILITY
    index: Index = Index.FIRST
    since: date | None = None
    level: float = 0.95
    frozen_on: int = FROZEN_ON

    @property
    def is_probability(self) -> bool:
        """Whether a score can be held against what came: else nothing is said of calibration."""
        return self.score_kind == PROBABILITY

    @property
    def can_calibrate(self) -> bool:
        """The maximum of a stay's scores looks ahead: it is not calibrated by design."""
        return self.is_probability and self.index is not Index.MAXIMUM


def asked(episodes: Any, question: Question) -> Any:
    """The episodes a question is about; an answer that was not due yet on its day is pending."""
    t = episodes
    about = t.filter(
        t.service_id == question.service_id,
        t.model_id == question.model_id,
        t.model_version == question.model_version,
        t.outcome == question.outcome,
        t.score_kind == question.score_kind,
        t.day.cast("date") <= question.as_of,
    )
    if question.since is not None:
        about = about.filter(about.day.cast("date") >= question.since)
    return about.mutate(
        state=ibis.ifelse(about.due_on.cast("date") > question.as_of, STATES[PENDING], about.state)
    )


def level_column(episodes: Any, name: str) -> Any:
    """The level of an attribute: its own column, else out of the JSON list of groups."""
    if name in episodes.columns and name not in _NO_LEVELS:
        return episodes[name]
    found = episodes.subgroups.re_extract(f'"{re.escape(name)}=([^"]*)"', 1)
    return found.nullif("")


def levels_found(episodes: Any, names: Iterable[str]) -> dict[str, list[str | None]]:
    """Every level that occurs, per attribute."""
    found: dict[str, list[str | None]] = {}
    for name in names:
        level = level_column(episodes, name).name("level")
        rows = episodes.select(level).distinct().to_pyarrow()
        found[name] = rows.column("level").to_pylist()
    return found


def bases_of(episodes: Any, wanted: MonitoredAttributes) -> dict[str, Base]:
    """The coded columns that the wanted groups need, by name."""
    names = dict.fromkeys((*wanted.attributes, *(name for one in wanted.crossings for name in one)))
    found = levels_found(episodes, names)
    bases = {name: base_of(name, found[name], wanted.levels.get(name, ())) for name in names}
    members = (member_base(race) for race in wanted.in_combination)
    return bases | {base.name: base for base in members}


@dataclass(frozen=True, slots=True)
class Binning:
    """How a score becomes a bin: by its logit, or, where it is no probability, between frozen edges."""

    edges: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        """How many bins there are."""
        return BINS if self.edges is None else len(self.edges) + 1


def binning_for(episodes: Any, question: Question) -> Binning:
    """Logit bins for probabilities; else one bin per value up to 1,000 values, or as many frozen edges."""
    if question.is_probability:
        return Binning()
    distinct = episodes.select("score").distinct().order_by("score").limit(BINS + 1).to_pyarrow()
    values = np.asarray(distinct.column("score").to_pylist(), dtype=np.float64)
    if len(values) <= BINS:
        return Binning(tuple(float(one) for one in (values[:-1] + values[1:]) / 2))
    return Binning(frozen_edges(episodes, BINS, question.frozen_on))


def frozen_edges(episodes: Any, bins: int, first_scores: int = FROZEN_ON) -> tuple[float, ...]:
    """Inner edges at quantiles of the version's first scores: they do not move when more come."""
    first = episodes.order_by("occurred_at", "episode_id").limit(first_scores).select("score").to_pyarrow()
    scores = np.sort(np.asarray(first.column("score").to_pylist(), dtype=np.float64))
    if not len(scores):
        return ()
    inner = np.quantile(scores, np.arange(1, bins) / bins)
    return tuple(float(one) for one in np.unique(inner))


def coded(
    episodes: Any,
    question: Question,
    binning: Binning,
    bases: Iterable[Base],
    patient: Any,
    beside: Sequence[str] = (),
) -> Any:
    """One narrow row per episode: patient, score, bin, flag, state, action, days, codes.

    `patient` tells patients apart; `beside` are columns kept as they are.
    """
    t = episodes.filter(episodes.score.notnull())
    p = t.score
    inside = p.clip(CLIP, 1 - CLIP)
    logit = (inside / (1 - inside)).ln() if question.is_probability else ibis.literal(0.0, type="float64")
    flagged = ibis.literal(0) if question.threshold is None else ibis.ifelse(p >= question.threshold, 1, 0)
    return t.select(
        patient=patient,
        p=p,
        logit=logit,
        bin=_bin(p, logit, binning).cast("int16"),
        flagged=flagged.cast("int8"),
        state=_code(t.state, STATES).cast("int8"),
        action=_code(t.action, ACTIONS).cast("int8"),
        day=t.day.cast("date"),
        due_on=t.due_on.cast("date"),
        **{code_name(base): _level_code(t, base).cast("int16") for base in bases},
        **{name: t[name] for name in beside},
    )


def code_name(base: Base) -> str:
    """The name of a coded column."""
    return f"code_{base.name.replace(':', '_').replace('-', '_')}"


def _bin(p: Any, logit: Any, binning: Binning) -> Any:
    if binning.edges is None:
        return ((logit + EDGE) / (2 * EDGE) * BINS).floor().cast("int64").clip(0, BINS - 1)
    return (
        p.bucket(binning.edges, include_under=True, include_over=True) if binning.edges else ibis.literal(0)
    )


def _code(column: Any, names: Sequence[str]) -> Any:
    last = len(names) - 1
    return ibis.cases(*((column == name, place) for place, name in enumerate(names[:-1])), else_=last)


def _level_code(episodes: Any, base: Base) -> Any:
    race = member_of(base)
    if race is not None:
        recorded = episodes.race_members
        return ibis.cases((recorded.isnull(), 2), (recorded.contains(f"|{race}|"), 1), else_=0)
    level = level_column(episodes, base.name)
    unread = base.levels.index(NOT_READ) if NOT_READ in base.levels else len(base.levels)
    return ibis.cases(*((level == text, code) for code, text in enumerate(base.levels)), else_=unread)


def cell_of(rows: Any, partition: Partition) -> Any:
    """The number of the cell of each coded row."""
    cell = ibis.literal(0).cast("int64")
    for base in partition.bases:
        cell = cell * base.size + rows[code_name(base)].cast("int64")
    return cell


def cube(rows: Any, partition: Partition, keys: Sequence[str] = ("bin", "flagged", "state", "action")) -> Any:
    """The sums by cell and keys (`day` and `due_on` can be keys too): the cube of one partition."""
    p = rows.p
    return rows.group_by(cell=cell_of(rows, partition), **{key: rows[key] for key in keys}).agg(
        n=rows.count().cast("float64"),
        sum_p=p.sum(),
        sum_p2=(p * p).sum(),
        sum_logit_p=rows.logit.sum(),
        sum_logit_p2=(rows.logit * rows.logit).sum(),
    )


def daily(rows: Any, partition: Partition) -> Any:
    """Events and sums of scores of mature episodes by cell and the day they matured."""
    mature = rows.filter(rows.state <= NO_EVENT)
    return mature.group_by(cell=cell_of(mature, partition), due_on=mature.due_on).agg(
        n=mature.count().cast("float64"),
        events=ibis.ifelse(mature.state == EVENT, 1, 0).cast("float64").sum(),
        expected=mature.p.sum(),
    )

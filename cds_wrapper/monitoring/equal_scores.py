"""Does a score mean the same for every group, for the outcome it was trained on and for what it is used for?

Area, sensitivity and predictive value can be equal while one group is sicker at every score (Obermeyer 2019
Science 366:447). For each declared outcome a group is held against others with the same score. The estimator
run on the score itself must give nearly 1, else the bands are too wide to compare and nothing is concluded.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import ibis
import numpy as np
from numpy.typing import NDArray

from cds_wrapper.monitoring.attributes import MonitoredAttributes, Partition, partitions
from cds_wrapper.monitoring.backends import Source
from cds_wrapper.monitoring.cube import (
    EVENT,
    NO_EVENT,
    Binning,
    Question,
    asked,
    bases_of,
    cell_of,
    coded,
    frozen_edges,
)
from cds_wrapper.monitoring.formulas.equal_score import (
    BANDS,
    CostScales,
    EqualScore,
    Rows,
    against_label,
    clustered,
    cost_scales,
    is_comparable,
    merged,
)
from cds_wrapper.monitoring.formulas.figure import Figure, quantile
from cds_wrapper.monitoring.values import Group, Interval
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role

MATERIAL: Final[Interval] = (0.80, 1.25)
"""A ratio inside is no finding, however sure it is."""


class Among(enum.Enum):
    """Which scores are compared."""

    ALL = "all"
    FLAGGED = "flagged"
    UNFLAGGED = "unflagged"


class Standing(enum.Enum):
    """What one comparison says at its level, against the material band."""

    SCORES_TOO_LOW = "scores_too_low"
    SCORES_TOO_HIGH = "scores_too_high"
    NO_FINDING = "no_finding"
    SCALES_DISAGREE = "scales_disagree"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True, slots=True)
class Compared:
    """One group, one outcome, one side of the threshold.

    `result` has the ratio and both means at equal score. `control` is the estimator run on the score itself.
    `over_label` is the ratio of a need over that of the label, on the same episodes. `costs` has a cost's
    other scales. `label_mismatch`: the score is fair to its label and unfair to the need.
    """

    group: Group
    outcome: str
    role: Role
    kind: OutcomeKind
    among: Among
    n: int
    patients: int
    result: EqualScore
    control: float | None
    over_label: Figure | None
    costs: CostScales | None
    standing: Standing
    label_mismatch: bool

    @property
    def ratio(self) -> Figure:
        """So many times the outcome of others with the same score."""
        return self.result.ratio


def equal_scores(
    source: Source,
    attributes: MonitoredAttributes,
    question: Question,
    outcomes: Sequence[Outcome],
    level: float = 0.95,
) -> tuple[Compared, ...]:
    """Every group but everybody against its rest, for the label and each further outcome, at this level.

    `outcomes` are the declared ones, the label first. Reads one row per mature episode into memory.
    """
    episodes = asked(source.episodes, question)
    bases = bases_of(episodes, attributes)
    binning = Binning(frozen_edges(episodes, BANDS))
    rows = coded(episodes, question, binning, bases.values(), episodes.patient_key, beside=("episode_id",))
    groups = tuple(partitions(attributes, bases))[1:]
    found: list[Compared] = []
    for outcome in outcomes:
        told = _with_outcome(rows, source.further, question, outcome)
        if told is not None:
            look = _Look(outcome, question, _columns(told, groups), quantile(level))
            found.extend(look.compared(groups))
    return tuple(found)


def _with_outcome(rows: Any, further: Any | None, question: Question, outcome: Outcome) -> Any | None:
    """The rows whose answer to this outcome is known, with it as `y`; None where nothing holds it."""
    if outcome.name == question.outcome:
        known = rows.filter(rows.state <= NO_EVENT)
        return known.mutate(y=ibis.ifelse(known.state == EVENT, 1, 0).cast("float64"))
    if further is None:
        return None
    answers = further.filter(
        further.service_id == question.service_id,
        further.outcome == outcome.name,
        further.state.isin(("event", "no_event")),
        further.due_on.cast("date") <= question.as_of,
    )
    return rows.inner_join(answers.select("episode_id", y=answers.value.cast("float64")), "episode_id")


def _columns(rows: Any, groups: Sequence[Partition]) -> dict[str, NDArray[Any]]:
    """The rows as arrays; `cell_0`, `cell_1` and so on are the cells of the partitions."""
    cells = {f"cell_{place}": cell_of(rows, partition) for place, partition in enumerate(groups)}
    arrow = rows.select("patient", "bin", "p", "flagged", "state", "y", **cells).to_pyarrow()
    found = {name: arrow.column(name).to_numpy() for name in arrow.column_names if name != "patient"}
    names = arrow.column("patient").combine_chunks().dictionary_encode()
    return found | {"patient": names.indices.to_numpy().astype(np.int64)}


@dataclass(frozen=True, slots=True)
class _Look:
    """One outcome's rows, looked at group by group."""

    outcome: Outcome
    question: Question
    rows: Mapping[str, NDArray[Any]]
    z: float

    def compared(self, groups: Sequence[Partition]) -> Iterator[Compared]:
        for place, partition in enumerate(groups):
            cells = self.rows[f"cell_{place}"]
            for group, cell in partition.groups:
                counts = (cells == cell) | np.isin(cells, partition.rest(cell))
                for among in self._sides():
                    yield self._one(group, among, cells == cell, counts & self._among(among))

    def _sides(self) -> tuple[Among, ...]:
        return tuple(Among) if self.question.threshold is not None else (Among.ALL,)

    def _among(self, among: Among) -> NDArray[np.bool_]:
        flagged = np.asarray(self.rows["flagged"] == 1)
        if among is Among.ALL:
            return np.ones(len(flagged), dtype=np.bool_)
        return flagged if among is Among.FLAGGED else ~flagged

    def _one(
        self, group: Group, among: Among, of_group: NDArray[np.bool_], counts: NDArray[np.bool_]
    ) -> Compared:
        rows = self._rows(of_group, counts, self.rows["y"])
        result = clustered(rows, self.z)
        control = clustered(replace(rows, y=self.rows["p"][counts]), self.z).ratio.value
        costs = cost_scales(rows, self.z) if self.outcome.kind is OutcomeKind.COST else None
        over = self._over_label(of_group, counts)
        standing = self._standing(result.ratio, control, costs)
        is_gap = standing in (Standing.SCORES_TOO_LOW, Standing.SCORES_TOO_HIGH)
        return Compared(
            group=group,
            outcome=self.outcome.name,
            role=self.outcome.role,
            kind=self.outcome.kind,
            among=among,
            n=int(rows.in_group.sum()),
            patients=len(np.unique(rows.patient[rows.in_group])),
            result=result,
            control=control,
            over_label=over,
            costs=costs,
            standing=standing,
            label_mismatch=is_gap and over is not None and _excludes_one(over),
        )

    def _rows(self, of_group: NDArray[np.bool_], counts: NDArray[np.bool_], y: NDArray[Any]) -> Rows:
        """The chosen rows, their bands put together until each holds enough of the rest."""
        band, in_group = self.rows["bin"][counts].astype(np.int64), of_group[counts]
        size = int(band.max()) + 1 if len(band) else 0
        rest = np.bincount(band[~in_group], minlength=size).astype(np.float64)
        return Rows(merged(rest)[band], y[counts].astype(np.float64), in_group, self.rows["patient"][counts])

    def _over_label(self, of_group: NDArray[np.bool_], counts: NDArray[np.bool_]) -> Figure | None:
        """A need over the label, on the episodes whose label is known too."""
        if self.outcome.role is not Role.NEED or self.outcome.name == self.question.outcome:
            return None
        both = counts & (self.rows["state"] <= NO_EVENT)
        need = self._rows(of_group, both, self.rows["y"])
        label = (self.rows["state"][both] == EVENT).astype(np.float64)
        return against_label(need, label, self.z)[0]

    def _standing(self, ratio: Figure, control: float | None, costs: CostScales | None) -> Standing:
        """A gap in costs must show on every scale, and in enough amounts."""
        if not is_comparable(control):
            return Standing.NOT_COMPARABLE
        if (
            ratio.low is None
            or ratio.high is None
            or (MATERIAL[0] <= ratio.high and ratio.low <= MATERIAL[1])
        ):
            return Standing.NO_FINDING
        if costs is not None and not costs.agrees:
            return Standing.SCALES_DISAGREE
        if costs is not None and not costs.may_decide:
            return Standing.NO_FINDING
        return Standing.SCORES_TOO_LOW if ratio.low > MATERIAL[1] else Standing.SCORES_TOO_HIGH


def _excludes_one(figure: Figure) -> bool:
    return figure.low is not None and figure.high is not None and not figure.low <= 1 <= figure.high

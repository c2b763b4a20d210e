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

from cds_wrapper.caveats.found import DEFAULT_LIMITS
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

MATERIAL: Final[Interval] = DEFAULT_LIMITS.material
"""A ratio inside is no finding, however sure it is, unless a plan draws other lines."""


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


class Reading(enum.Enum):
    """What an interval says of a gap, against 1 and against the material band; nothing without a control."""

    CONFIRMED = "gap_confirmed"
    OF_OPEN_SIZE = "gap_of_open_size"
    RULED_OUT = "gap_ruled_out"
    UNDETERMINED = "undetermined"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True, slots=True)
class Compared:
    """One group, one outcome, one side of the threshold.

    `result` has the ratio and both means at equal score. `control` is the estimator run on the score itself
    (on its ranks, where a score can be below 0). `over_label` is the ratio of a need over that of the label,
    on the same episodes; `label` names it. `costs` has a cost's other scales. `label_mismatch`: the gap in
    the need is a finding, and the label does not show as much of it. `material` are the ratios that matter to
    nobody.
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
    label: str | None
    over_label: Figure | None
    costs: CostScales | None
    standing: Standing
    label_mismatch: bool
    material: Interval = MATERIAL

    @property
    def ratio(self) -> Figure:
        """So many times the outcome of others with the same score."""
        return self.result.ratio

    @property
    def reading(self) -> Reading:
        """There for sure and large enough to matter, there but perhaps too small, too small, or not known."""
        if self.standing is Standing.NOT_COMPARABLE:
            return Reading.NOT_COMPARABLE
        if self.ratio.interval is None or (self.costs is not None and not self.costs.are_many):
            return Reading.UNDETERMINED
        if self.standing in {Standing.SCORES_TOO_LOW, Standing.SCORES_TOO_HIGH}:
            return Reading.CONFIRMED
        ratios = [self.ratio, *((self.costs.high_share.ratio, self.costs.logs.ratio) if self.costs else ())]
        if all(_within(one, self.material) for one in ratios):
            return Reading.RULED_OUT
        is_sure = _excludes_one(self.ratio) and (self.costs is None or self.costs.agrees)
        return Reading.OF_OPEN_SIZE if is_sure else Reading.UNDETERMINED

    @property
    def shows_mismatch(self) -> bool:
        """Whether a need and the label surely differ at equal score, be the gap surely material or not.

        A card waits for `label_mismatch`; a reader of figures wants to know of this too.
        """
        is_there = self.reading in {Reading.CONFIRMED, Reading.OF_OPEN_SIZE}
        return is_there and _same_side(self.ratio, self.over_label)


def equal_scores(
    source: Source,
    attributes: MonitoredAttributes,
    question: Question,
    outcomes: Sequence[Outcome],
    level: float = 0.95,
    material: Interval = MATERIAL,
) -> tuple[Compared, ...]:
    """Every group but everybody against its rest, for the label and each further outcome, at this level.

    `outcomes` are the declared ones, the label first; a ratio within `material` is no finding. Reads one
    row per mature episode into memory.
    """
    episodes = asked(source.episodes, question)
    bases = bases_of(episodes, attributes)
    binning = Binning(frozen_edges(episodes, BANDS, question.frozen_on))
    rows = coded(episodes, question, binning, bases.values(), episodes.patient_key, beside=("episode_id",))
    groups = tuple(partitions(attributes, bases))[1:]
    label = _label(outcomes, question)
    rows = _answered(rows, source.further, question, label, "label")
    found: list[Compared] = []
    for outcome in outcomes:
        if outcome.name != question.outcome and source.further is None:
            continue
        told = _answered(rows, source.further, question, outcome.name, "y")
        columns = _columns(told.filter(told.y.notnull()), groups)
        look = _Look(outcome, label, question, columns, quantile(level), material)
        found.extend(look.compared(groups))
    return tuple(found)


def _label(outcomes: Sequence[Outcome], question: Question) -> str | None:
    """What the score was trained on: the first that is declared so, else what the episodes are about."""
    declared = next((one.name for one in outcomes if one.role is Role.LABEL), None)
    if declared is not None:
        return declared
    is_need = any(one.name == question.outcome for one in outcomes)
    return None if is_need else question.outcome or None


def _answered(rows: Any, further: Any | None, question: Question, outcome: str | None, name: str) -> Any:
    """The rows with the answer to an outcome in a column of that name; null where it is not known."""
    if outcome is not None and outcome == question.outcome:
        answer = ibis.cases((rows.state == EVENT, 1.0), (rows.state == NO_EVENT, 0.0))
        return rows.mutate(**{name: answer.cast("float64")})
    if outcome is None or further is None:
        return rows.mutate(**{name: ibis.null("float64")})
    answers = further.filter(
        further.service_id == question.service_id,
        further.outcome == outcome,
        further.state.isin(("event", "no_event")),
        further.due_on.cast("date") <= question.as_of,
    )
    answers = answers.select(**{f"of_{name}": answers.episode_id, name: answers.value.cast("float64")})
    return rows.left_join(answers, rows.episode_id == answers[f"of_{name}"]).drop(f"of_{name}")


def _columns(rows: Any, groups: Sequence[Partition]) -> dict[str, NDArray[Any]]:
    """The rows as arrays; `cell_0`, `cell_1` and so on are the cells of the partitions.

    `own` is what the control compares: the score, or where one is below 0 its rank, since a ratio of sums
    that can be 0 says nothing.
    """
    cells = {f"cell_{place}": cell_of(rows, partition) for place, partition in enumerate(groups)}
    arrow = rows.select("patient", "bin", "p", "flagged", "y", "label", **cells).to_pyarrow()
    found = {name: arrow.column(name).to_numpy() for name in arrow.column_names if name != "patient"}
    names = arrow.column("patient").combine_chunks().dictionary_encode()
    own = found["p"] if not len(found["p"]) or found["p"].min() >= 0 else _ranks(found["p"])
    return found | {"own": own, "patient": names.indices.to_numpy().astype(np.int64)}


def _ranks(scores: NDArray[Any]) -> NDArray[Any]:
    """The share of scores below each, equal ones counted half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return ((np.cumsum(counts) - counts / 2) / len(scores))[place]


@dataclass(frozen=True, slots=True)
class _Look:
    """One outcome's rows, looked at group by group."""

    outcome: Outcome
    label: str | None
    question: Question
    rows: Mapping[str, NDArray[Any]]
    z: float
    material: Interval

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
        control = clustered(replace(rows, y=self.rows["own"][counts]), self.z).ratio.value
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
            label=self.label if over is not None else None,
            over_label=over,
            costs=costs,
            standing=standing,
            label_mismatch=is_gap and _same_side(result.ratio, over),
            material=self.material,
        )

    def _rows(self, of_group: NDArray[np.bool_], counts: NDArray[np.bool_], y: NDArray[Any]) -> Rows:
        """The chosen rows, their bands put together until each holds enough of the rest."""
        band, in_group = self.rows["bin"][counts].astype(np.int64), of_group[counts]
        size = int(band.max()) + 1 if len(band) else 0
        rest = np.bincount(band[~in_group], minlength=size).astype(np.float64)
        return Rows(merged(rest)[band], y[counts].astype(np.float64), in_group, self.rows["patient"][counts])

    def _over_label(self, of_group: NDArray[np.bool_], counts: NDArray[np.bool_]) -> Figure | None:
        """A need over the label, on the episodes whose label is known too."""
        if self.outcome.role is not Role.NEED or self.label is None:
            return None
        both = counts & ~np.isnan(self.rows["label"])
        need = self._rows(of_group, both, self.rows["y"])
        return against_label(need, self.rows["label"][both].astype(np.float64), self.z)[0]

    def _standing(self, ratio: Figure, control: float | None, costs: CostScales | None) -> Standing:
        """A gap in costs must show on every scale, and in enough amounts."""
        low, high = self.material
        if not is_comparable(control):
            return Standing.NOT_COMPARABLE
        if ratio.low is None or ratio.high is None or (low <= ratio.high and ratio.low <= high):
            return Standing.NO_FINDING
        if costs is not None and not costs.agrees:
            return Standing.SCALES_DISAGREE
        if costs is not None and not costs.may_decide:
            return Standing.NO_FINDING
        return Standing.SCORES_TOO_LOW if ratio.low > high else Standing.SCORES_TOO_HIGH


def _excludes_one(figure: Figure) -> bool:
    return figure.low is not None and figure.high is not None and not figure.low <= 1 <= figure.high


def _within(figure: Figure, material: Interval) -> bool:
    low, high = material
    return figure.low is not None and figure.high is not None and low <= figure.low and figure.high <= high


def _same_side(ratio: Figure, over_label: Figure | None) -> bool:
    """Whether a need differs from the label the way it differs from 1, and both surely do."""
    if over_label is None or not (_excludes_one(ratio) and _excludes_one(over_label)):
        return False
    return ((ratio.value or 0) > 1) is ((over_label.value or 0) > 1)

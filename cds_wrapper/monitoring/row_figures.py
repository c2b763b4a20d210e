"""What a table at hand can say and sums by group cannot: exact areas, clustered calibration, risk bands.

A review counts in the database and ties scores that fall in one of 1,000 bins; the area of a small group is
then off by up to 0.0003, which is nothing beside its interval. Where all rows fit into memory they are ranked
as they are, and the calibration slope has its own error by patient.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cds_wrapper.monitoring.attributes import MonitoredAttributes, partitions
from cds_wrapper.monitoring.backends import Source
from cds_wrapper.monitoring.cube import EVENT, NO_EVENT, Binning, Question, asked, bases_of, cell_of, coded
from cds_wrapper.monitoring.formulas import auroc, clustered
from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.calibration import calibration, edges_with
from cds_wrapper.monitoring.formulas.figure import Figure, quantile
from cds_wrapper.monitoring.own_band import Basis, Cell, OwnBand, own_band
from cds_wrapper.monitoring.values import Group, GroupFigures, Measure, Measured, ServiceFigures, WhyNot

FAMILY_ERROR: Final = 0.05
"""What the statements about all bands may err together, over the groups that are looked at."""

AREA_METHOD: Final = "{} of exact ranks"
SLOPE_METHOD: Final = "binomial fit of the rows, clustered by patient"

_SLOPES: Final = (Measure.CALIBRATION_INTERCEPT, Measure.CALIBRATION_SLOPE, Measure.CALIBRATION_IN_THE_LARGE)


@dataclass(frozen=True, slots=True)
class Rows:
    """Mature episodes: score, outcome, the number of the patient."""

    p: Floats
    y: Floats
    patient: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> Rows:
        """Some of them."""
        return Rows(self.p[chosen], self.y[chosen], self.patient[chosen])

    def by_patient(self, values: Floats) -> Floats:
        """Sums per patient."""
        _, place = np.unique(self.patient, return_inverse=True)
        return np.bincount(place, weights=values).astype(np.float64)

    @property
    def with_event(self) -> int:
        """Patients who had the event."""
        return int((self.by_patient(self.y) > 0).sum()) if len(self.y) else 0


@dataclass(frozen=True, slots=True)
class Band:
    """One fixed risk band of one group: its episodes, and what may be said of a patient in it."""

    low: float
    high: float
    cell: Cell
    statement: OwnBand | None


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Figures with what rows alone can give put in, and the risk bands of each group."""

    figures: ServiceFigures
    bands: Mapping[Group, tuple[Band, ...]]


def row_figures(
    source: Source, attributes: MonitoredAttributes, question: Question, figures: ServiceFigures
) -> RowFigures:
    """The same figures from the rows themselves. Reads one row per mature episode into memory."""
    episodes = asked(source.episodes, question)
    bases = bases_of(episodes, attributes)
    groups = tuple(partitions(attributes, bases))
    cells = {f"cell_{place}": partition for place, partition in enumerate(groups)}
    found = coded(episodes, question, Binning(()), bases.values(), episodes.patient_key)
    arrow = (
        found.filter(found.state <= NO_EVENT)
        .select("p", "state", "patient", **{name: cell_of(found, one) for name, one in cells.items()})
        .to_pyarrow()
    )
    names = arrow.column("patient").combine_chunks().dictionary_encode()
    whole = Rows(
        arrow.column("p").to_numpy().astype(np.float64),
        (arrow.column("state").to_numpy() == EVENT).astype(np.float64),
        names.indices.to_numpy().astype(np.int64),
    )
    sides: dict[Group, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}
    for name, partition in cells.items():
        cell_of_row = arrow.column(name).to_numpy()
        for group, cell in partition.groups:
            sides[group] = cell_of_row == cell, np.isin(cell_of_row, partition.rest(cell))
    return _Put(question, whole, max(1, len(figures.groups) - 1)).into(figures, sides)


@dataclass(frozen=True, slots=True)
class _Put:
    """The rows of everybody, and how many groups are looked at."""

    question: Question
    whole: Rows
    watched: int

    def into(
        self,
        figures: ServiceFigures,
        sides: Mapping[Group, tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    ) -> RowFigures:
        usual = area_by_patient(self.whole, 1.0)[1]
        edges = edges_with(self.question.threshold) if self.question.can_calibrate else ()
        groups: list[GroupFigures] = []
        bands: dict[Group, tuple[Band, ...]] = {}
        for one in figures.groups:
            own, rest = (self.whole.of(side) for side in sides[one.group])
            found = self._figures(one, own, rest, usual)
            groups.append(replace(one, figures=tuple(found)))
            bands[one.group] = tuple(self._bands(own, edges))
        return RowFigures(replace(figures, groups=tuple(groups)), bands)

    def _figures(self, one: GroupFigures, own: Rows, rest: Rows, usual: float) -> Iterator[Measured]:
        z = quantile(self.question.level)
        ranks, effect = area_by_patient(own, usual)
        others, other_effect = area_by_patient(rest, usual)
        area = auroc.area(ranks, effect, z)
        slopes = self._slopes(own) if self.question.can_calibrate else {}
        for figure in one.figures:
            if figure.measure is Measure.AUROC and len(own.p):
                method = auroc.method_for(own.y.sum() / effect, (len(own.y) - own.y.sum()) / effect)
                yield _with(figure, area, AREA_METHOD.format(method), effect)
            elif figure.measure is Measure.AUROC_GAP and len(own.p) and len(rest.p):
                gap = auroc.mover_difference(area, auroc.area(others, other_effect, z))
                yield _with(figure, gap, "MOVER of exact ranks", effect)
            elif figure.measure in slopes:
                yield _with(figure, slopes[figure.measure], SLOPE_METHOD, 1.0)
            else:
                yield figure

    def _slopes(self, own: Rows) -> dict[Measure, Figure]:
        """Nothing where a fit on sums could not be made either."""
        if not len(own.p):
            return {}
        fit = calibration(own.p, own.y, np.ones(len(own.p)), own.patient)
        return dict(zip(_SLOPES, (fit.intercept, fit.slope, fit.in_the_large), strict=True))

    def _bands(self, own: Rows, edges: Sequence[float]) -> Iterator[Band]:
        """Fixed bands, the last one with its upper edge, each with what is said of a patient in it."""
        last = len(edges) - 2
        level = _cell(Basis.LEVEL, own, 1.0)
        for place, (low, high) in enumerate(itertools.pairwise(edges)):
            cells = [
                _cell(basis, rows.of((rows.p >= low) & ((rows.p < high) | (place == last))), of)
                for basis, rows, of in (
                    (Basis.BAND_AND_LEVEL, own, level.design_effect),
                    (Basis.BAND, self.whole, 1.0),
                )
            ]
            yield Band(low, high, cells[0], own_band([*cells, level], FAMILY_ERROR, self.watched))


def _with(figure: Measured, found: Figure, method: str, effect: float) -> Measured:
    return replace(
        figure,
        value=found.value,
        low=found.low,
        high=found.high,
        why_not=found.why_not,
        method=method,
        design_effect=effect,
    )


def area_by_patient(rows: Rows, usual: float) -> tuple[auroc.Ranks | WhyNot, float]:
    """The ranks of the scores as they are, and the design effect of their area by patient."""
    values, place = np.unique(rows.p, return_inverse=True)
    events = np.bincount(place, weights=rows.y, minlength=len(values)).astype(np.float64)
    everybody = np.bincount(place, minlength=len(values)).astype(np.float64)
    ranks = auroc.ranks(events, everybody - events)
    if isinstance(ranks, WhyNot):
        return ranks, max(1.0, usual)
    above, below = (ranks.v10 - ranks.area) / ranks.events, (ranks.v01 - ranks.area) / ranks.non_events
    parts = rows.by_patient(np.where(rows.y == 1, above[place], below[place]))
    variance = clustered.variance_of_linear(float((parts**2).sum()), len(parts))
    return ranks, clustered.design_effect(variance, ranks.se**2, rows.with_event, usual)


def _cell(basis: Basis, rows: Rows, usual: float) -> Cell:
    """The sums of a cell and the design effect of its O/E."""
    observed, expected = float(rows.y.sum()), float(rows.p.sum())
    if expected <= 0:
        return Cell(basis, len(rows.p), observed, expected, max(1.0, usual))
    x, y = rows.by_patient(rows.y), rows.by_patient(rows.p)
    sums = clustered.PatientSums(observed, expected, float(x @ x), float(x @ y), float(y @ y), len(x))
    alone = clustered.independent_oe(observed, expected, float((rows.p**2).sum()))
    effect = clustered.design_effect(sums.variance, alone, rows.with_event, usual)
    return Cell(basis, len(rows.p), observed, expected, effect)

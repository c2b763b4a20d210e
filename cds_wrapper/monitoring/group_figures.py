"""Every figure about one group, from its sums and those of the rest: value, interval, method, or why not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np

from cds_wrapper.monitoring.cube import CENSORED, EVENT, NO_EVENT, UNVERIFIED, Question
from cds_wrapper.monitoring.formulas import auroc, clustered, net_benefit, oe_ratio
from cds_wrapper.monitoring.formulas.bins import Floats, expit, logit
from cds_wrapper.monitoring.formulas.calibration import Calibration, calibration
from cds_wrapper.monitoring.formulas.expected import Expected, expected
from cds_wrapper.monitoring.formulas.figure import Figure, quantile
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference, share
from cds_wrapper.monitoring.group_sums import GroupSums
from cds_wrapper.monitoring.patients import Moments
from cds_wrapper.monitoring.values import Group, Measure, Measured, WhyNot
from cds_wrapper.services.outcomes import Index

_WHOLE: Final = Measure.EVENT_RATE
SHARES: Final[Mapping[Measure, tuple[tuple[float, ...], tuple[float, ...], WhyNot]]] = {
    Measure.EVENT_RATE: ((0, 1, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0), WhyNot.NO_ROWS),
    Measure.FLAG_RATE: ((0, 0, 1, 0, 0, 0), (1, 0, 0, 0, 0, 0), WhyNot.NO_ROWS),
    Measure.SENSITIVITY: ((0, 0, 0, 1, 0, 0), (0, 1, 0, 0, 0, 0), WhyNot.NO_EVENTS),
    Measure.SPECIFICITY: ((1, -1, -1, 1, 0, 0), (1, -1, 0, 0, 0, 0), WhyNot.NO_NON_EVENTS),
    Measure.PPV: ((0, 0, 0, 1, 0, 0), (0, 0, 1, 0, 0, 0), WhyNot.NONE_FLAGGED),
    Measure.NPV: ((1, -1, -1, 1, 0, 0), (1, 0, -1, 0, 0, 0), WhyNot.NONE_UNFLAGGED),
}
"""A share as numerator and denominator over the six forms of `patients.FORMS`, and why there may be none."""

RATIOS: Final[Mapping[Measure, tuple[tuple[float, ...], tuple[float, ...], int | None]]] = {
    Measure.OE_RATIO: ((0, 1, 0, 0, 0, 0), (0, 0, 0, 0, 1, 0), None),
    Measure.OE_FLAGGED: ((0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 1), 1),
    Measure.OE_UNFLAGGED: ((0, 1, 0, -1, 0, 0), (0, 0, 0, 0, 1, -1), 0),
}
"""Observed over expected, and the side of the threshold."""

_OVER: Final = np.array([one[0] for one in (*SHARES.values(), *RATIOS.values())], dtype=np.float64)
_UNDER: Final = np.array([one[1] for one in (*SHARES.values(), *RATIOS.values())], dtype=np.float64)
"""The numerators and denominators of all of them, in order: [measures, forms]."""

_THRESHOLD: Final = frozenset(SHARES) - {Measure.EVENT_RATE} | {Measure.OE_FLAGGED, Measure.OE_UNFLAGGED}
_GAPS: Final = {
    Measure.SENSITIVITY_GAP: Measure.SENSITIVITY,
    Measure.SPECIFICITY_GAP: Measure.SPECIFICITY,
    Measure.PPV_GAP: Measure.PPV,
}
CALIBRATION_METHOD: Final = "binomial fit of the bins, widened by the design effect of O/E"
EXPECTED_METHOD: Final = "estimated, assumes the scores are right for this group"
RECALIBRATED_METHOD: Final = "estimated, assumes the scores, recalibrated for this group, are right"


@dataclass(frozen=True, slots=True)
class Side:
    """Sums and moments of a group or of its rest, and the ranks of its scores."""

    sums: GroupSums
    moments: Moments
    ranks: auroc.Ranks | WhyNot


@dataclass(frozen=True, slots=True)
class Asked:
    """What every figure carries: question, period, and everybody's design effects (none for everybody)."""

    question: Question
    period: tuple[date, date]
    everybody: Mapping[Measure, float]


def side_of(sums: GroupSums, moments: Moments) -> Side:
    """A side with its ranks."""
    return Side(sums, moments, auroc.ranks(sums.by_bin(EVENT), sums.by_bin(NO_EVENT)))


def effects(side: Side, asked: Asked) -> dict[Measure, float]:
    """The design effect of each measure in this group, not below everybody's where too few have an event."""
    found = {}
    for measure, sums in zip((*SHARES, *RATIOS), _patient_sums(side, _OVER, _UNDER), strict=True):
        alone = math.nan
        if sums.y > 0 and measure in SHARES:
            alone = clustered.independent_share(sums.x, sums.y)
        elif sums.y > 0:
            alone = clustered.independent_oe(sums.x, sums.y, side.sums.squares(RATIOS[measure][2]))
        found[measure] = _effect(side, asked, measure, sums, alone)
    found[Measure.NET_BENEFIT] = _benefit_effect(side, asked)
    found[Measure.AUROC] = _area_effect(side, asked)
    return found


def _effect(
    side: Side, asked: Asked, measure: Measure, sums: clustered.PatientSums, independent: float
) -> float:
    usual = asked.everybody.get(measure, 1.0)
    return clustered.design_effect(sums.variance, independent, int(side.moments.with_event), usual)


def _patient_sums(side: Side, over: Floats, under: Floats) -> list[clustered.PatientSums]:
    """What the clustered error of ratios of two forms needs: [ratios, forms] each."""
    forms, second, patients = side.sums.forms, side.moments.second, int(side.moments.patients)
    of_x, of_y = over @ second, under @ second
    columns = (
        over @ forms,
        under @ forms,
        (of_x * over).sum(axis=1),
        (of_x * under).sum(axis=1),
        (of_y * under).sum(axis=1),
    )
    return [
        clustered.PatientSums(float(x), float(y), float(xx), float(xy), float(yy), patients)
        for x, y, xx, xy, yy in zip(*columns, strict=True)
    ]


def benefit_forms(threshold: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Net benefit as a ratio of forms: TP - w (flagged - TP) over episodes."""
    w = net_benefit.weight(threshold)
    return (0, 0, -w, 1 + w, 0, 0), (1, 0, 0, 0, 0, 0)


def _benefit_effect(side: Side, asked: Asked) -> float:
    threshold = asked.question.threshold
    forms = side.sums.forms
    if threshold is None or not 0 < threshold < 1 or forms[0] <= 0:
        return 1.0
    alone = net_benefit.independent_variance(forms[3], forms[2] - forms[3], forms[0], threshold)
    over, under = (np.asarray([one], dtype=np.float64) for one in benefit_forms(threshold))
    return _effect(side, asked, Measure.NET_BENEFIT, _patient_sums(side, over, under)[0], alone)


def _area_effect(side: Side, asked: Asked) -> float:
    usual = asked.everybody.get(Measure.AUROC, 1.0)
    if isinstance(side.ranks, WhyNot):
        return max(1.0, usual)
    variance = clustered.variance_of_linear(side.moments.area, int(side.moments.patients))
    return clustered.design_effect(variance, side.ranks.se**2, int(side.moments.with_event), usual)


def uncalibrated(question: Question) -> WhyNot | None:
    """Why nothing is said about scores as probabilities."""
    if not question.is_probability:
        return WhyNot.NOT_A_PROBABILITY
    return WhyNot.INDEX_LOOKS_AHEAD if question.index is Index.MAXIMUM else None


def _fit(side: Side, question: Question) -> Calibration:
    why = uncalibrated(question) or (WhyNot.NO_ROWS if side.sums.n <= 0 else None)
    if why:
        none = Figure.none(why)
        return Calibration(none, none, none)
    return calibration(*side.sums.mature_bins())


def figures(
    group: Group, side: Side, rest: Side | None, asked: Asked, own: Mapping[Measure, float]
) -> tuple[Measured, ...]:
    """Every measure about a group; those that compare it with the rest where there is a rest to speak of.

    `own` are the group's design effects.
    """
    one = _Figures(group, side, asked, own)
    return (
        *one.shares(),
        *one.ratios(),
        *one.discrimination(),
        *one.calibration(),
        *one.benefit(),
        *(one.gaps(rest) if rest is not None else ()),
        *one.before_outcomes(),
        *one.known(),
    )


def deciding(
    group: Group, side: Side, rest: Side | None, asked: Asked, own: Mapping[Measure, float]
) -> tuple[Measured, ...]:
    """Those of `figures` that grades and findings are decided by: without fits, and what is for reports."""
    one = _Figures(group, side, asked, own)
    return (
        *one.shares(),
        *one.ratios(),
        *one.discrimination(),
        *(one.gaps(rest) if rest is not None else ()),
    )


@dataclass(frozen=True)
class _Figures:
    """One group's figures, family by family."""

    group: Group
    side: Side
    asked: Asked
    effects: Mapping[Measure, float]

    @cached_property
    def fit(self) -> Calibration:
        """The calibration fit, made where a figure asks for it."""
        return _fit(self.side, self.asked.question)

    @property
    def level(self) -> float:
        """That of every interval."""
        return self.asked.question.level

    @property
    def z(self) -> float:
        """How many standard errors that is."""
        return quantile(self.level)

    def shares(self) -> Iterator[Measured]:
        forms = self.side.sums.forms
        for measure, (x, y, nothing) in SHARES.items():
            n = float(forms @ y)
            effect = self.effects[measure]
            why = self._why(measure)
            figure = (
                Figure.none(why) if why else share(float(forms @ x), n, nothing, effect, level=self.level)
            )
            yield self._measured(measure, figure, "Wilson", n, effect)

    def _why(self, measure: Measure) -> WhyNot | None:
        if self.side.sums.n <= 0:
            return WhyNot.NO_ROWS
        if measure in _THRESHOLD and self.asked.question.threshold is None:
            return WhyNot.NO_THRESHOLD
        return None

    def _uncalibrated(self) -> WhyNot | None:
        return uncalibrated(self.asked.question)

    def ratios(self) -> Iterator[Measured]:
        sums = self.side.sums
        for measure, (x, y, flagged) in RATIOS.items():
            observed, total = float(sums.forms @ x), float(sums.forms @ y)
            squares, effect = sums.squares(flagged), self.effects[measure]
            why = self._uncalibrated() or self._why(measure)
            if why is None and flagged is not None and total <= 0:
                why = WhyNot.NONE_FLAGGED if flagged else WhyNot.NONE_UNFLAGGED
            figure = (
                Figure.none(why) if why else oe_ratio.oe_ratio(observed, total, squares, effect, self.level)
            )
            yield self._measured(measure, figure, oe_ratio.method_for(total / effect, squares), None, effect)

    def discrimination(self) -> Iterator[Measured]:
        ranks, effect = self.side.ranks, self.effects[Measure.AUROC]
        why = self._why(Measure.AUROC)
        figure = Figure.none(why) if why else auroc.area(ranks, effect, self.z)
        sums = self.side.sums
        method = auroc.method_for(sums.events / effect, (sums.n - sums.events) / effect)
        yield self._measured(Measure.AUROC, figure, method, None, effect)

    def calibration(self) -> Iterator[Measured]:
        fit = self.fit
        effect = self.effects[Measure.OE_RATIO]
        for measure, figure in (
            (Measure.CALIBRATION_INTERCEPT, fit.intercept),
            (Measure.CALIBRATION_SLOPE, fit.slope),
            (Measure.CALIBRATION_IN_THE_LARGE, fit.in_the_large),
        ):
            yield replace(
                self._measured(measure, _widened(figure, effect), CALIBRATION_METHOD, None, effect),
                level=0.95,
            )
        why = self._uncalibrated() or self._why(Measure.BRIER)
        sums = self.side.sums
        figure = Figure.none(why) if why else Figure.of(sums.brier / sums.n, None)
        yield self._measured(Measure.BRIER, figure, "mean", None, 1.0)

    def benefit(self) -> Iterator[Measured]:
        threshold, forms = self.asked.question.threshold, self.side.sums.forms
        effect = self.effects[Measure.NET_BENEFIT]
        why = self._why(Measure.NET_BENEFIT) or self._uncalibrated()
        if why is None and threshold is None:
            why = WhyNot.NO_THRESHOLD
        if why is not None or threshold is None:
            one = other = Figure.none(why or WhyNot.NO_THRESHOLD)
        else:
            one = net_benefit.net_benefit(forms[3], forms[2] - forms[3], forms[0], threshold, effect, self.z)
            other = Figure.of(net_benefit.flag_all(forms[1], forms[0], threshold), None)
        yield self._measured(Measure.NET_BENEFIT, one, "normal", None, effect)
        yield self._measured(Measure.FLAG_ALL_BENEFIT, other, "mean", None, 1.0)

    def gaps(self, rest: Side) -> Iterator[Measured]:
        """Against everybody else: variances add; the rest's area takes everybody's design effect."""
        others = effects(rest, self.asked) | {Measure.AUROC: self.asked.everybody.get(Measure.AUROC, 1.0)}
        for gap, measure in _GAPS.items():
            yield self._measured(gap, self._share_gap(measure, rest, others), "Newcombe 10", None)
        one = auroc.area(self.side.ranks, self.effects[Measure.AUROC], self.z)
        other = auroc.area(rest.ranks, others[Measure.AUROC], self.z)
        why = self._why(Measure.AUROC) or (WhyNot.NO_REST if rest.sums.n <= 0 else None)
        difference = Figure.none(why) if why else auroc.mover_difference(one, other)
        yield self._measured(Measure.AUROC_GAP, difference, "MOVER", None, self.effects[Measure.AUROC])
        yield self._to_rest(rest, others)

    def _share_gap(self, measure: Measure, rest: Side, others: Mapping[Measure, float]) -> Figure:
        x, y, nothing = SHARES[measure]
        n1, n2 = float(self.side.sums.forms @ y), float(rest.sums.forms @ y)
        why = self._why(measure) or (nothing if n1 <= 0 else WhyNot.NO_REST if n2 <= 0 else None)
        if why:
            return Figure.none(why)
        x1, x2 = float(self.side.sums.forms @ x), float(rest.sums.forms @ x)
        d1, d2 = self.effects[measure], others[measure]
        return Figure.of(x1 / n1 - x2 / n2, newcombe_difference(x1 / d1, n1 / d1, x2 / d2, n2 / d2, self.z))

    def _to_rest(self, rest: Side, others: Mapping[Measure, float]) -> Measured:
        d1, d2 = self.effects[Measure.OE_RATIO], others[Measure.OE_RATIO]
        one, other = self.side.sums, rest.sums
        why = self._uncalibrated() or self._why(Measure.OE_RATIO)
        parts = (one.events / d1, one.expected() / d1, other.events / d2, other.expected() / d2)
        figure = Figure.none(why) if why else oe_ratio.ratio_to_rest(*parts, self.z)
        return self._measured(Measure.OE_RATIO_TO_REST, figure, "log Poisson", None, d1)

    def before_outcomes(self) -> Iterator[Measured]:
        """What the scores promise, pending episodes included: reports only, never evidence."""
        method, found = self._expected()
        for measure, name in (
            (Measure.EXPECTED_SENSITIVITY, "sensitivity"),
            (Measure.EXPECTED_PPV, "ppv"),
            (Measure.EXPECTED_AUROC, "auroc"),
        ):
            if isinstance(found, WhyNot):
                figure = Figure.none(found)
            elif measure is not Measure.EXPECTED_AUROC and self.asked.question.threshold is None:
                figure = Figure.none(WhyNot.NO_THRESHOLD)
            else:
                value = getattr(found, name)
                figure = Figure.none(WhyNot.NONE_FLAGGED) if value is None else Figure.of(value, None)
            n = float(self.side.sums.scored_bins()[1].sum())
            yield self._measured(measure, figure, method, n)

    def _expected(self) -> tuple[str, Expected | WhyNot]:
        why = self._uncalibrated()
        p, n, flagged = self.side.sums.scored_bins()
        if why or not len(n):
            return EXPECTED_METHOD, why or WhyNot.NO_ROWS
        fit = self.fit
        if fit.intercept.value is None or fit.slope.value is None:
            return EXPECTED_METHOD, expected(p, n, flagged)
        own = expit(fit.intercept.value + fit.slope.value * logit(p))
        return RECALIBRATED_METHOD, expected(own, n, flagged)

    def known(self) -> Iterator[Measured]:
        """How many of those due are known, and how many of those seen to the end were verified."""
        counts = self.side.sums.counts
        answered = float(counts[EVENT] + counts[NO_EVENT])
        due = answered + float(counts[CENSORED] + counts[UNVERIFIED])
        seen = answered + float(counts[UNVERIFIED])
        for measure, total in ((Measure.KNOWN_SHARE, due), (Measure.VERIFIED_SHARE, seen)):
            yield self._measured(measure, share(answered, total, WhyNot.NO_ROWS), "Wilson", total)

    def _measured(
        self, measure: Measure, figure: Figure, method: str, n: float | None, effect: float = 1.0
    ) -> Measured:
        sums = self.side.sums
        return Measured(
            measure=measure,
            group=self.group,
            value=figure.value,
            low=figure.low,
            high=figure.high,
            n=round(sums.n if n is None else n),
            events=round(sums.events),
            patients=round(self.side.moments.patients),
            method=method,
            period=self.asked.period,
            outcome=self.asked.question.outcome,
            design_effect=effect,
            level=self.level,
            why_not=figure.why_not,
        )


def _widened(figure: Figure, effect: float) -> Figure:
    """Wider by the root of a design effect, about its value."""
    if figure.value is None or figure.low is None or figure.high is None:
        return figure
    root, value = math.sqrt(effect), figure.value
    return Figure(value, value - (value - figure.low) * root, value + (figure.high - value) * root)

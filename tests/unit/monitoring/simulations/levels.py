"""Groups of known faults as sums by bin, at a speed that allows thousands of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cds_wrapper.monitoring.cube import EVENT, NO_EVENT, Question
from cds_wrapper.monitoring.formulas.auroc import Ranks, ranks
from cds_wrapper.monitoring.formulas.bins import BINS, EDGE, Floats, expit
from cds_wrapper.monitoring.group_figures import Asked, Side, deciding, effects, side_of
from cds_wrapper.monitoring.group_sums import GroupSums, nothing
from cds_wrapper.monitoring.patients import Moments
from cds_wrapper.monitoring.values import EVERYBODY, DailySums, Group, GroupFigures, Measure, ServiceFigures

THRESHOLD = 0.2
DAY = dt.date(2026, 1, 1)
QUESTION = Question("s", "m", "1", "o", DAY, THRESHOLD)
NO_DAYS = DailySums((), (), (), (), ())
GROUP = Group((("race", "B"),))

USED = np.arange(250, 620, 8)
"""The bins that hold anybody: logits from -6 to 2.9, a fifth of a logit apart."""
P: Floats = expit((USED + 0.5) / BINS * 2 * EDGE - EDGE)
IS_FLAGGED = P >= THRESHOLD
_POWERS = np.stack([np.ones_like(P), P, P**2, np.log(P / (1 - P))])
"""What an episode in each bin adds to the first sums of the cube."""
_FORMS = {
    state: np.stack(
        [np.ones_like(P), np.full_like(P, y), IS_FLAGGED * 1.0, IS_FLAGGED * y, P, P * IS_FLAGGED]
    )
    for state, y in ((EVENT, 1.0), (NO_EVENT, 0.0))
}
"""The six forms of an episode in each bin, by its outcome."""


@dataclass(frozen=True)
class Truth:
    """Where the scores of those with and without the event fall, how frequent it is, and the ratio O/E."""

    events: Floats
    others: Floats
    rate: float

    def misses(self, points: float) -> Truth:
        """The same O/E with a sensitivity lower by so much: events scored like others, and as many back."""
        mixed = points / (self.sensitivity - float(self.others[IS_FLAGGED].sum()))
        back = mixed * self.rate / (1 - self.rate)
        return Truth(
            (1 - mixed) * self.events + mixed * self.others,
            (1 - back) * self.others + back * self.events,
            self.rate,
        )

    @property
    def sensitivity(self) -> float:
        return float(self.events[IS_FLAGGED].sum())


def calibrated(ratio: float = 1.0, middle: float = -2.65, spread: float = 1.1) -> Truth:
    """Scores of sd 1.1 on the logit (about -2.65 a tenth have the event); all off by a ratio."""
    logits = (USED + 0.5) / BINS * 2 * EDGE - EDGE
    weight = np.exp(-0.5 * ((logits - middle) / spread) ** 2)
    weight /= weight.sum()
    risk = np.clip(ratio * P, 0, 1)
    rate = float((weight * risk).sum())
    return Truth(weight * risk / rate, weight * (1 - risk) / (1 - rate), rate)


def side(truth: Truth, n: int, random: np.random.Generator) -> Side:
    """So many patients, each once."""
    cases = int(random.binomial(n, truth.rate))
    counts: dict[int, Floats] = {
        EVENT: random.multinomial(cases, truth.events / truth.events.sum()) * 1.0,
        NO_EVENT: random.multinomial(n - cases, truth.others / truth.others.sum()) * 1.0,
    }
    sums = nothing(USED.size)
    for state, per_bin in counts.items():
        for flagged in (0, 1):
            sums.binned[flagged, state, :, : len(_POWERS)] = (_POWERS * (per_bin * (flagged == IS_FLAGGED))).T
        sums.counts[state] = per_bin.sum()
    return side_of(sums, _moments(counts, sums))


def _moments(counts: Mapping[int, Floats], sums: GroupSums) -> Moments:
    second = sum((_FORMS[state] * counts[state]) @ _FORMS[state].T for state in counts)
    found = ranks(counts[EVENT], counts[NO_EVENT])
    assert isinstance(found, Ranks)
    area = (counts[EVENT] * ((found.v10 - found.area) / found.events) ** 2).sum() + (
        counts[NO_EVENT] * ((found.v01 - found.area) / found.non_events) ** 2
    ).sum()
    return Moments(sums.n, sums.events, np.asarray(second), float(area))


def measured(
    group: Truth, rest: Truth, n: int, others: int, random: np.random.Generator, level: float = 0.95
) -> ServiceFigures:
    """What decides about a group of `n` beside so many others; of everybody only the number."""
    own, beside = side(group, n, random), side(rest, others, random)
    whole = side_of(own.sums + beside.sums, own.moments + beside.moments)
    question = replace(QUESTION, level=level)
    asked = Asked(question, (DAY, DAY), effects(whole, Asked(question, (DAY, DAY), {})))
    made = (GroupFigures(EVERYBODY, (), NO_DAYS, _states(whole), 1.0), _figures(own, beside, asked))
    return ServiceFigures("s", "m", "1", "o", THRESHOLD, DAY, made)


def _figures(own: Side, rest: Side, asked: Asked) -> GroupFigures:
    by = effects(own, asked)
    made = deciding(GROUP, own, rest, asked, by)
    return GroupFigures(GROUP, made, NO_DAYS, _states(own), by[Measure.OE_RATIO])


def _states(side: Side) -> dict[str, int]:
    events, mature = round(side.sums.events), round(side.sums.n)
    return {"event": events, "no_event": mature - events, "pending": 0, "censored": 0, "unverified": 0}

"""What was predicted and what came, by group and by band of the score: calibration where it can be seen.

The bands are fixed beforehand, with the threshold among their edges: bands made from the data would move with
it, and be others for each group.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ibis import _

from cds_wrapper.monitoring.by_group import Table, per_group
from cds_wrapper.monitoring.formulas.calibration import edges_with
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.proportions import share
from cds_wrapper.monitoring.strata import KNOWN
from cds_wrapper.monitoring.values import Group, WhyNot


@dataclass(frozen=True, slots=True)
class ScoreBand:
    """Mature episodes of one group with scores from `low` up to, not including, `high` (at last up to 1)."""

    group: Group
    low: float
    high: float
    n: int
    events: int
    expected: float

    def share(self, design_effect: float = 1.0) -> Figure:
        """The part with the outcome, with its Wilson limits, widened where patients come again."""
        return share(self.events, self.n, WhyNot.NO_ROWS, design_effect)

    @property
    def predicted(self) -> float:
        """The mean score; there is somebody in every band that was found."""
        return self.expected / self.n


def score_bands(
    episodes: Table, attributes: Collection[str], threshold: float | None
) -> tuple[ScoreBand, ...]:
    """Every group and band that holds mature episodes; none for a score that is no probability."""
    edges = edges_with(threshold)
    mature = episodes.filter(episodes.state.isin(KNOWN) & (episodes.score_kind == "probability"))
    mature = mature.filter(mature.score.notnull()).mutate(band=_.score.bucket(edges).cast("int64"))
    figures = {"n": _.count(), "events": (_.state == KNOWN[0]).sum(), "expected": _.score.sum()}
    return tuple(
        ScoreBand(group, edges[row["band"]], edges[row["band"] + 1], row["n"], row["events"], row["expected"])
        for group, row in per_group(mature, attributes, figures, ("band",))
    )

"""What `measure` found, and what of it gives no small number of people away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cds_wrapper.monitoring.cells import Hidden, hidden_figures
from cds_wrapper.monitoring.equal_scores import Among, Compared
from cds_wrapper.monitoring.row_figures import Band
from cds_wrapper.monitoring.suppression import FLOOR, is_small
from cds_wrapper.monitoring.table_file import ReadTable
from cds_wrapper.monitoring.values import Group, GroupFigures, Measure, ServiceFigures
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role

HIDDEN: Final = f"a count below {FLOOR}, or one that would give another away"


@dataclass(frozen=True)
class Done:
    """Everything that one run measured; `definitions` say of each outcome which column it is."""

    table: ReadTable
    figures: ServiceFigures
    compared: tuple[Compared, ...]
    outcomes: tuple[Outcome, ...]
    definitions: Mapping[str, str]
    score_kind: str
    has_days: bool
    bands: Mapping[Group, tuple[Band, ...]]

    @property
    def has_need(self) -> bool:
        """Whether anything says what the score is used for, as against what it was trained on."""
        return any(one.role is Role.NEED for one in self.outcomes)

    @property
    def has_event(self) -> bool:
        """Whether there is an outcome that happens or does not."""
        return bool(self.figures.outcome)

    @cached_property
    def hidden(self) -> Hidden:
        """Groups whose events, or others, are few."""
        return hidden_figures(self.figures.groups)

    @cached_property
    def hidden_flags(self) -> frozenset[Group]:
        """Groups of whom few are above or below the threshold, with or without an event.

        Where that is one group of an attribute, the next smallest is hidden too: else it is a subtraction.
        """
        hidden = set(self.hidden.rates)
        if self.figures.threshold is None:
            return frozenset(hidden)
        fours = {one.group: _four(one, self.has_event) for one in self.figures.groups}
        hidden |= {group for group, four in fours.items() if any(is_small(cell) for cell in four)}
        for attribute in {group.attribute for group in fours} - {""}:
            levels = [group for group in fours if group.attribute == attribute]
            shown = [group for group in levels if group not in hidden and any(fours[group])]
            if shown and sum(group in hidden for group in levels) == 1:
                hidden.add(min(shown, key=lambda group: (min(fours[group]), group)))
        return frozenset(hidden)

    def hides(self, one: Compared) -> bool:
        """Whether few people stand behind a comparison, or few of them with or without the outcome."""
        if one.group in self.hidden.counts or is_small(one.n):
            return True
        if one.among is not Among.ALL and one.group in self.hidden_flags:
            return True
        events = round(one.result.observed)
        return one.kind is OutcomeKind.BINARY and (is_small(events) or is_small(one.n - events))

    @property
    def mismatches(self) -> Iterator[Compared]:
        """Groups whose need surely differs at equal score while the label shows less of it."""
        return (one for one in self.compared if one.among is Among.ALL and one.shows_mismatch)


def _four(one: GroupFigures, has_event: bool) -> tuple[int, ...]:
    """Events and others above and below the threshold; without an event all above and all below."""
    events, others = one.counts["event"], one.counts["no_event"]
    rate, found = one.of(Measure.FLAG_RATE), one.of(Measure.SENSITIVITY)
    flagged = round((rate.value or 0) * rate.n) if rate else 0
    if not has_event:
        return flagged, others - flagged
    above = round((found.value or 0) * found.n) if found else 0
    return above, events - above, flagged - above, others - (flagged - above)

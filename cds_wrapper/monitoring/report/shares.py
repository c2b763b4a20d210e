"""Tables of shares by group: how many, and of them what part, column by column without small numbers.

A column hides what would give its own small counts away. Numbers of people are told to tens: calls and
scores, or outcomes due and known, stand in tables of their own and differ by a handful. A small count is told
as such ("<11"), which is all that may be known of it. Crossings, and races alone or in combination, are left
out: nearly all of them are too small for shares of shares, and nobody would find the groups that matter among
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cds_wrapper.monitoring.cells import ROUNDED, Hidden, hidden_rows
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN, Block, Table, Words
from cds_wrapper.monitoring.report.figures import about, per_cent
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import capital, group_words, listed
from cds_wrapper.monitoring.suppression import FLOOR, is_small
from cds_wrapper.monitoring.values import EVERYBODY, Group

Part = tuple[int, int]
"""A part and the whole it is taken of."""

WORTH_A_LOOK: Final = 0.05
"""A difference of shares to all patients, with its whole interval beyond 0, that is put into words."""

SMALL: Final = f"<{FLOOR}"


@dataclass(frozen=True)
class Shares:
    """How many there are of each group, under a word, and by column what part of them.

    `columns` go from a title to a group's part; one that is not there is not shown. `more` are further
    columns of text, such as times. `names` are those of rows that are no groups of patients, such as months.
    """

    name: str
    caption: str
    counted: str
    whole: Mapping[Group, int]
    columns: Mapping[str, Mapping[Group, Part]]
    more: Mapping[str, Mapping[Group, str]]
    note: str = ""
    names: Mapping[Group, str] = field(default_factory=dict)

    @cached_property
    def _people(self) -> Hidden:
        return hidden_rows({group: {"people": n} for group, n in self.whole.items() if not is_quiet(group)})

    @cached_property
    def _hidden(self) -> Mapping[str, Hidden]:
        return {title: _hidden_in(parts) for title, parts in self.columns.items()}

    def shows(self, group: Group) -> bool:
        """Whether a row is shown at all."""
        return group not in self._people.rates

    def table(self, known: Known) -> Table:
        """The table of all patients and of single groups; on the page, those of core attributes."""
        groups = [group for group in self.whole if not is_quiet(group)]
        return Table(
            name=self.name,
            caption=self.caption,
            columns=("Group", f"{self.counted}, to tens", *self.columns, *self.more),
            rows=tuple(self._row(group, known) for group in groups),
            note=self.note,
            quiet=tuple(group not in self.names and is_beside(group, known) for group in groups),
        )

    def _row(self, group: Group, known: Known) -> tuple[str, ...]:
        name = self.names.get(group) or capital(group_words(group, known.service.scheme))
        if not self.shows(group):
            return (name, *(NOT_SHOWN,) * (1 + len(self.columns) + len(self.more)))
        count = NOT_SHOWN if group in self._people.counts else about(self.whole[group])
        shares = (self._share(title, group) for title in self.columns)
        return (name, count, *shares, *(texts.get(group, "-") for texts in self.more.values()))

    def _share(self, title: str, group: Group) -> str:
        found = self.columns[title].get(group)
        if found is None:
            return NOT_SHOWN
        part, whole = found
        if not whole:
            return "-"
        if whole >= ROUNDED:
            return per_cent(part / whole)
        if is_small(whole):
            return NOT_SHOWN
        if is_small(part):
            return SMALL
        if is_small(whole - part):
            return f"all but {SMALL}"
        return NOT_SHOWN if group in self._hidden[title].rates else per_cent(part / whole)


def is_quiet(group: Group) -> bool:
    """Whether a group is one of the many: a crossing, or a race alone or in combination."""
    return len(group.where) > 1 or not group.exclusive


def is_beside(group: Group, known: Known) -> bool:
    """Whether a group stands in the files only: one that alone makes no card say that too little is known."""
    policy = known.service.scheme.attributes.get(group.attribute)
    return bool(group.where) and (is_quiet(group) or policy is None or not policy.core)


def stands_out(words: str, parts: Mapping[Group, Part], known: Known) -> Iterator[Block]:
    """The single groups whose share is above everybody's by more than chance and by enough to matter."""
    whole = parts.get(EVERYBODY)
    if whole is None or not whole[1]:
        return
    more = [
        group_words(group, known.service.scheme)
        for group, (part, n) in parts.items()
        if len(group.where) == 1 and group.exclusive and min(part, n - part) >= FLOOR
        if _is_more(part, n, *whole)
    ]
    if more:
        yield Words(f"{words} than for all patients: {listed(more)}.", "notice")


def _hidden_in(parts: Mapping[Group, Part]) -> Hidden:
    return hidden_rows(
        {
            group: {"part": part, "others": n - part}
            for group, (part, n) in parts.items()
            if not is_quiet(group)
        }
    )


def without_small(
    parts: Mapping[Group, Part], components: Mapping[Group, tuple[int, ...]]
) -> dict[Group, Part]:
    """The parts without those from which a small component would follow: together they are the whole."""
    return {
        group: part
        for group, part in parts.items()
        if part[1] >= ROUNDED or not any(is_small(one) for one in components[group])
    }


def _is_more(part: int, n: int, whole_part: int, whole_n: int) -> bool:
    rest_part, rest_n = whole_part - part, whole_n - n
    if n <= 0 or rest_n <= 0 or part / n - rest_part / rest_n < WORTH_A_LOOK:
        return False
    return newcombe_difference(part, n, rest_part, rest_n)[0] > 0

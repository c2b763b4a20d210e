"""A score as a clinician reads it: rounded, and never onto the other side of a mark the hospital has set.

A risk of 7.46 % is not written "7.5 %" where 7.5 % is the threshold, one of 0.4 % is not written "0 %", and
one of 99.7 % is not written "100 %". Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final, assert_never

_MORE_DECIMALS: Final = 2
"""Decimals that may be added before a number is cut instead of rounded."""

_TOO_LARGE_TO_ROUND: Final = Decimal(10) ** 15


class NumberForm(enum.Enum):
    """How a score is written: a probability as `12 %` or as `12 in 100`, any other score as `12`."""

    PERCENT = "percent"
    IN_100 = "in_100"
    PLAIN = "plain"

    @property
    def is_share(self) -> bool:
        """Whether it is a part of 100."""
        return self is not NumberForm.PLAIN


@dataclass(frozen=True, slots=True)
class ScoreNumber:
    """How the scores of one service are written.

    `decimals` are those of the number as written, so a probability of 0.123 with one decimal is `12.3 %`.
    `marks` are the thresholds and the limits of bands, in the recorded unit.
    """

    form: NumberForm
    decimals: int = 0
    marks: tuple[float, ...] = ()

    def text(self, score: float) -> str:
        """The score in words; it stands on the side of every mark that the score itself stands on."""
        value = self._scaled(score)
        if abs(value) >= _TOO_LARGE_TO_ROUND:
            return self._with_unit(f"{value.normalize():f}")
        for decimals in range(self.decimals, self.decimals + _MORE_DECIMALS + 1):
            rounded = _rounded(value, decimals, ROUND_HALF_UP)
            if self._crosses(value, rounded):
                continue
            whole = self._not_quite_whole(value, rounded, decimals)
            if whole is None:
                return self._with_unit(f"{rounded:f}")
            if whole:
                return whole
        return self._with_unit(f"{self._cut(value):f}")

    def mark(self, at: float) -> str:
        """A threshold in words, with as many digits as it has."""
        return self._with_unit(f"{self._scaled(at).normalize():f}")

    def _scaled(self, score: float) -> Decimal:
        """The number that is written; `repr` of a float is what its sender wrote."""
        value = Decimal(repr(float(score)))
        return value * 100 if self.form.is_share else value

    def _crosses(self, value: Decimal, written: Decimal) -> bool:
        scaled = map(self._scaled, self.marks)
        return any((value < mark) != (written < mark) for mark in scaled)

    def _not_quite_whole(self, value: Decimal, rounded: Decimal, decimals: int) -> str | None:
        """`under 1 %` for what would read as none, `over 99 %` for what would read as all.

        None where the number may stand as it is, empty where these words would hide on which side it lies.
        """
        if not self.form.is_share or rounded not in {0, 100} or value in {0, 100}:
            return None
        step = Decimal(1).scaleb(-decimals)
        edge = step if rounded == 0 else 100 - step
        between = sorted((edge, Decimal(0) if rounded == 0 else Decimal(100)))
        if any(between[0] < self._scaled(mark) < between[1] for mark in self.marks):
            return ""
        return f"{'under' if rounded == 0 else 'over'} {self._with_unit(f'{edge:f}')}"

    def _cut(self, value: Decimal) -> Decimal:
        """The last resort: cut on the side of the nearest mark, so that it is not reached or not left."""
        decimals = self.decimals + _MORE_DECIMALS
        down = _rounded(value, decimals, ROUND_FLOOR)
        return _rounded(value, decimals, ROUND_CEILING) if self._crosses(value, down) else down

    def _with_unit(self, number: str) -> str:
        match self.form:
            case NumberForm.PERCENT:
                return f"{number} %"
            case NumberForm.IN_100:
                return f"{number} in 100"
            case NumberForm.PLAIN:
                return number
            case _:
                assert_never(self.form)

    def longest(self, low: float, high: float) -> str:
        """The longest text that a score from `low` to `high` can have, for the limits of a card."""
        return max((self.text(score) for score in self._samples(low, high)), key=len)

    def _samples(self, low: float, high: float) -> Iterator[float]:
        """Both ends, and scores as near to both ends and to every mark as a rounding can go wrong."""
        near = (high - low) * 1e-7
        yield from (low, high, low + near, high - near)
        for mark in self.marks:
            yield from (score for score in (mark, mark - near, mark + near) if low <= score <= high)


def _rounded(value: Decimal, decimals: int, how: str) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-decimals), rounding=how)
    return rounded or abs(rounded)  # no minus before a zero

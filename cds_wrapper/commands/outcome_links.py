"""How many of the rows that were accepted are of patients with a recorded prediction, counted as they pass.

An import whose identifiers are another system's, or whose pseudonyms are another key's, is otherwise accepted
in silence, and no figure ever has an outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cds_wrapper.ledger.outcomes import Reported, Row
from cds_wrapper.ledger.predicted import Predicted

MANY: Final = 20
"""Of so many rows one at least would be of somebody with a prediction, if the keys were the right ones."""


class Lines:
    """Numbers of lines, a bit for each: ten million are a megabyte and a quarter."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, line: int) -> None:
        """It is one of them."""
        place = line >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << (line & 7)

    def discard(self, line: int) -> None:
        """It is none of them."""
        if line >> 3 < len(self._bits):
            self._bits[line >> 3] &= ~(1 << (line & 7))

    def behind(self, line: int) -> int:
        """How many there are behind a line."""
        return (int.from_bytes(self._bits, "little") >> (line + 1)).bit_count()


class Linked:
    """The rows of one source; under further keys they are the same rows, and one that matches is enough."""

    def __init__(self, predicted: Predicted) -> None:
        self._predicted = predicted
        self._accepted, self._linked = Lines(), Lines()
        self._went_on_at = 0
        self.is_known = True

    @property
    def accepted(self) -> int:
        """Rows that this run accepted: what stands before the place where it went on was passed over."""
        return self._accepted.behind(self._went_on_at)

    @property
    def linked(self) -> int:
        """Those of them that are of a patient with a recorded prediction."""
        return self._linked.behind(self._went_on_at)

    def went_on_at(self, line: int) -> None:
        """An import that had been cut off went on behind this line."""
        self._went_on_at = max(self._went_on_at, line)

    def passing(self, rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        """The rows as they are, looked at on their way."""
        for line, row in rows:
            if isinstance(row, Reported):
                self._accepted.add(line)
                has = self._predicted.has(row)
                self.is_known = self.is_known and has is not None
                if has:
                    self._linked.add(line)
            yield line, row

    def refused(self, line: int) -> None:
        """It was a row, and is not accepted all the same."""
        self._accepted.discard(line)
        self._linked.discard(line)

    def warning(self, name: str, service: str) -> str | None:
        """What to look at when none of many is of anybody known."""
        if not self.is_known or self.linked or self.accepted < MANY:
            return None
        told = f"{name}: no row is of a patient with a recorded prediction of {service}"
        if self._predicted.is_empty:
            return f"{told}: there is no prediction of it in the ledger. Is CDS_WRAPPER_LEDGER the right one?"
        return (
            f"{told}. Look at `identifiers.patient` of service.yaml (is it the system that the EHR sends?),"
            " at `columns.patient` or the Patients in the files (do they hold that number?), and at"
            " CDS_WRAPPER_PSEUDONYM_KEYS (is it the file of the serving process?)."
        )

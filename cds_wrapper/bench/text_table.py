"""Plain tables for a terminal, a log or a mail: the first column to the left, numbers to the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The rows under their heads; the first `left` columns and the last are set to the left.

    `ValueError` for a row with another number of cells than the head.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(cells, widths, left) for cells in (head, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int], left: int) -> str:
    """One line; a wordy last column would drift apart if it were set to the right."""
    last = len(cells) - 1
    wordy = any(character.isalpha() for character in cells[last]) or set(cells[last]) == {"-"}
    placed = [
        cell.ljust(width) if number < left or (number == last and wordy) else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(placed).rstrip()

"""A site's table of postal codes and quintiles of deprivation, from CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Final

from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import nearest

COLUMNS: Final = ("postal_code", "quintile")
_QUINTILES: Final = frozenset("12345")
_POSTAL_CODE: Final = re.compile(r"\d{5}", re.ASCII)


def read_quintiles(name: str, content: bytes) -> tuple[Mapping[str, int], tuple[Mistake, ...]]:
    """Postal code -> quintile, and every line that is wrong. Codes the publisher suppressed are left out."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return {}, (Mistake(name, 1, 1, "", "is not UTF-8: save it as UTF-8."),)
    rows = list(csv.reader(lines))
    header = tuple(rows[0]) if rows else ()
    if header != COLUMNS:
        return {}, tuple(_header_mistakes(name, header))
    quintiles: dict[str, int] = {}
    mistakes: list[Mistake] = []
    for line, row in enumerate(rows[1:], start=2):
        problem = _row_problem(row, quintiles)
        if problem is None:
            quintiles[row[0]] = int(row[1])
        else:
            mistakes.append(Mistake(name, line, 1, "", problem))
    return quintiles, tuple(mistakes)


def _header_mistakes(name: str, header: tuple[str, ...]) -> Iterator[Mistake]:
    known = ",".join(COLUMNS)
    unknown = [column for column in header if column not in COLUMNS]
    for column in unknown:
        near = nearest(column, COLUMNS)
        yield Mistake(name, 1, 1, column, f"is not a column known here; the first line is `{known}`.", near)
    if not unknown:
        yield Mistake(name, 1, 1, "", f"must begin with the line `{known}`.")


def _row_problem(row: list[str], seen: Mapping[str, int]) -> str | None:
    """What is wrong with a line; a code that has a quintile of no number is better left out by the site."""
    match row:
        case [code, quintile] if not _POSTAL_CODE.fullmatch(code) or quintile not in _QUINTILES:
            return "needs a postal code of five digits and a quintile from 1 to 5."
        case [code, _]:
            return "lists a postal code twice." if code in seen else None
        case _:
            return "needs two values: a postal code and a quintile."

"""A site's own tables, from CSV: what postal codes and payers stand for."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from cds_wrapper.errors import Mistake
from cds_wrapper.patient.demographics import DemographicRules, PayerElement
from cds_wrapper.services.checking import nearest

_Key = TypeVar("_Key")

COLUMNS: Final = ("postal_code", "quintile")
RURALITY_COLUMNS: Final = ("postal_code", "rurality")
PAYER_COLUMNS: Final = ("element", "spelling", "payer")
_QUINTILES: Final = frozenset("12345")
_KINDS: Final = DemographicRules().levels("rurality")
_PAYERS: Final = DemographicRules().levels("payer")
_ELEMENTS: Final = tuple(element.value for element in PayerElement)
_POSTAL_CODE: Final = re.compile(r"\d{5}", re.ASCII)


def read_quintiles(name: str, content: bytes) -> tuple[Mapping[str, int], tuple[Mistake, ...]]:
    """Postal code -> quintile, and every line that is wrong. Codes the publisher suppressed are left out."""
    problem = "needs a postal code of five digits and a quintile from 1 to 5."
    found, mistakes = _read(name, content, COLUMNS, _postal_code_row(_QUINTILES, problem))
    return {code: int(quintile) for code, quintile in found.items()}, mistakes


def read_kinds_of_place(name: str, content: bytes) -> tuple[Mapping[str, str], tuple[Mistake, ...]]:
    """Postal code -> `metro`, `micro` or `rural`, and every line that is wrong."""
    problem = f"needs a postal code of five digits and one of {', '.join(_KINDS)}."
    return _read(name, content, RURALITY_COLUMNS, _postal_code_row(_KINDS, problem))


def read_payers(
    name: str, content: bytes
) -> tuple[Mapping[tuple[PayerElement, str], str], tuple[Mistake, ...]]:
    """Element and spelling -> payer, and every line that is wrong."""
    return _read(name, content, PAYER_COLUMNS, _payer_row)


_COUNTS: Final = {2: "two values", 3: "three values"}
_Row = Callable[[Sequence[str]], tuple[_Key, str] | str]
"""What a line holds, or what is wrong with it."""


def _read(
    name: str, content: bytes, columns: tuple[str, ...], read_row: _Row[_Key]
) -> tuple[Mapping[_Key, str], tuple[Mistake, ...]]:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return {}, (Mistake(name, 1, 1, "", "is not UTF-8: save it as UTF-8."),)
    rows = list(csv.reader(lines))
    header = tuple(rows[0]) if rows else ()
    if header != columns:
        return {}, tuple(_header_mistakes(name, header, columns))
    found: dict[_Key, str] = {}
    mistakes: list[Mistake] = []
    for line, row in enumerate(rows[1:], start=2):
        read = read_row(row) if len(row) == len(columns) else f"needs {_COUNTS[len(columns)]}."
        if isinstance(read, str):
            mistakes.append(Mistake(name, line, 1, "", read))
        elif read[0] in found:
            mistakes.append(Mistake(name, line, 1, "", f"lists a {columns[-2].replace('_', ' ')} twice."))
        else:
            found[read[0]] = read[1]
    return found, tuple(mistakes)


def _header_mistakes(name: str, header: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[Mistake]:
    known = ",".join(columns)
    unknown = [column for column in header if column not in columns]
    for column in unknown:
        near = nearest(column, columns)
        yield Mistake(name, 1, 1, column, f"is not a column known here; the first line is `{known}`.", near)
    if not unknown:
        yield Mistake(name, 1, 1, "", f"must begin with the line `{known}`.")


def _postal_code_row(values: frozenset[str] | tuple[str, ...], problem: str) -> _Row[str]:
    """A postal code that has no value is better left out by the site."""

    def read(row: Sequence[str]) -> tuple[str, str] | str:
        code, value = row
        return (code, value) if _POSTAL_CODE.fullmatch(code) and value in values else problem

    return read


def _payer_row(row: Sequence[str]) -> tuple[tuple[PayerElement, str], str] | str:
    element, spelling, payer = row[0].strip(), row[1].strip(), row[2].strip()
    if element not in _ELEMENTS:
        return f"needs one of {', '.join(_ELEMENTS)} as its element."
    if not spelling or (element == PayerElement.TYPE_CODING.value and "|" not in spelling):
        return "needs a spelling as it stands in the Coverage; of a coding `system|code`."
    if payer not in _PAYERS:
        near = nearest(payer, _PAYERS)
        hint = f" Did you mean `{near}`?" if near else ""
        return f"needs one of {', '.join(_PAYERS)} as its payer.{hint}"
    return (PayerElement(element), spelling), payer

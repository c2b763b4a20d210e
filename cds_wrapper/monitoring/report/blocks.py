"""What a page is made of: words, lists, terms, tables and charts, in sections. The template draws them.

Every table has a name, so that it can be written as a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; `tone` says whether it is one that must not be missed."""

    text: str
    tone: Literal["plain", "strong", "notice"] = "plain"
    kind: Literal["words"] = "words"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]
    kind: Literal["bullets"] = "bullets"


@dataclass(frozen=True, slots=True)
class Terms:
    """Words and what they mean."""

    items: tuple[tuple[str, str], ...]
    kind: Literal["terms"] = "terms"


NOT_SHOWN: Final = "not shown"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under columns; the first cell of a row names it. `marks` are classes of rows.

    `quiet` are rows that stand in the files beside the page only. So do those of which nothing may be shown:
    the page names them in a sentence.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marks: tuple[str, ...] = ()
    quiet: tuple[bool, ...] = ()
    kind: Literal["table"] = "table"

    @property
    def told(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The rows of the page, each after its mark."""
        marks = self.marks or ("",) * len(self.rows)
        loud = self._loud()
        return tuple(
            (mark, row)
            for mark, row, is_loud in zip(marks, self.rows, loud, strict=True)
            if is_loud and not _is_blank(row)
        )

    @property
    def left_out(self) -> str:
        """Whose rows are not on the page, in sentences; empty where all are."""
        loud = self._loud()
        blank = [row[0] for row, is_loud in zip(self.rows, loud, strict=True) if is_loud and _is_blank(row)]
        said = [f"Nothing can be shown of: {'; '.join(blank)} (small numbers)."] if blank else []
        quiet = len(loud) - sum(loud)
        if quiet:
            stand = "row stands" if quiet == 1 else "rows stand"
            said.append(f"{quiet} further {stand} in the files beside this page.")
        return " ".join(said)

    def _loud(self) -> tuple[bool, ...]:
        return tuple(not one for one in self.quiet) or (True,) * len(self.rows)


def _is_blank(row: tuple[str, ...]) -> bool:
    return len(row) > 1 and all(cell == NOT_SHOWN for cell in row[1:])


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing; `says` tells in words what is to be seen, and the table after it holds the figures."""

    name: str
    title: str
    says: str
    svg: str
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the three answers of the first page, with whom it is about."""

    verdict: str
    title: str
    says: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """The three answers side by side."""

    items: tuple[Answer, ...]
    kind: Literal["answers"] = "answers"


Block = Words | Heading | Bullets | Terms | Table | Chart | Answers


@dataclass(frozen=True, slots=True)
class Section:
    """One question with its answer."""

    id: str
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report of one service."""

    title: str
    subtitle: str
    synthetic: bool
    sections: tuple[Section, ...]

    def tables(self) -> tuple[Table, ...]:
        """Every table, in order."""
        return tuple(block for one in self.sections for block in one.blocks if isinstance(block, Table))

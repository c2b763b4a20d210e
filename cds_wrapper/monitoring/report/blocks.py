"""What a page is made of: words, lists, terms, tables and charts, in sections. The template draws them.

Every table has a name, so that it can be written as a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under columns; the first cell of a row names it. `marks` are classes of rows."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marks: tuple[str, ...] = ()
    kind: Literal["table"] = "table"


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

"""The tables of reviews, editions and findings, and the views that are the contract, for SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cds_wrapper.ledger.columns import Column, Kind
from cds_wrapper.ledger.edition_columns import EDITION_COLUMNS, FINDING_COLUMNS, REVIEW_COLUMNS

_TYPES: Final = {kind: "INTEGER" if kind in {Kind.BOOLEAN, Kind.INTEGER} else "TEXT" for kind in Kind}
EDITION_TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    "reviews": REVIEW_COLUMNS,
    "editions": EDITION_COLUMNS,
    "findings": FINDING_COLUMNS,
}
"""Append-only tables by name; `number` counts the rows of each."""


def _table(name: str, columns: Iterable[Column]) -> str:
    rows = ",\n  ".join(
        f"{one.name} {_TYPES[one.kind]}{' NOT NULL' if one.required else ''}" for one in columns
    )
    return f"CREATE TABLE {name} (\n  number INTEGER PRIMARY KEY AUTOINCREMENT,\n  {rows}\n)"


def _view(name: str, columns: Iterable[Column]) -> str:
    return f"CREATE VIEW {name}_v1 AS SELECT number, {', '.join(one.name for one in columns)} FROM {name}"  # noqa: S608  names are ours


def insert(table: str) -> str:
    """The statement that adds a row, its values in the order of the columns."""
    names = [column.name for column in EDITION_TABLES[table]]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608  names are ours


TABLES: Final = tuple(_table(name, columns) for name, columns in EDITION_TABLES.items())
VIEWS: Final = tuple(_view(name, columns) for name, columns in EDITION_TABLES.items())
INDEXES: Final = (
    "CREATE UNIQUE INDEX reviews_by_id ON reviews (review_id)",
    "CREATE UNIQUE INDEX editions_by_id ON editions (edition_id)",
    "CREATE UNIQUE INDEX findings_once ON findings (finding_id, state)",
)

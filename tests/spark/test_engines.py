"""The same question to Spark and to DuckDB, on 100,000 awkward rows. Needs Java: `python3 run.py spark`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pytest

from cds_wrapper.monitoring.backends import parquet_source, table_source
from cds_wrapper.monitoring.measures import measure
from tests.unit.monitoring.engines import ASK, ASKED, arrow, assert_as_plain_python_says
from tests.unit.monitoring.made import written
from tests.unit.monitoring.test_engines import assert_equal

pyspark_sql = pytest.importorskip("pyspark.sql", reason="Spark is installed by `python3 run.py spark`")
pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a Java runtime (17 or 21)"),
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    scratch = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    builder = pyspark_sql.SparkSession.builder.master("local[2]").appName("cds-wrapper-tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    yield spark
    spark.stop()


def test_spark_says_what_duckdb_and_plain_python_say(session: Any, tmp_path: Path) -> None:
    folder = written(tmp_path / "episodes", arrow())
    session.read.parquet(str(folder)).createOrReplaceTempView("episodes")
    with table_source(ibis.pyspark.connect(session), "episodes") as source:
        by_spark = measure(source, ASKED, ASK)
    with parquet_source(folder) as source:
        assert_equal(by_spark, measure(source, ASKED, ASK))
    assert_as_plain_python_says(by_spark)

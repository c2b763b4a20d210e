"""The cube and all measures in a process of its own, for `bench monitoring`.

python -m cds_wrapper.bench.monitoring_cube FOLDER THRESHOLD ATTRIBUTE...
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from cds_wrapper.bench.monitoring_population import AS_OF, MODEL, OUTCOME, SERVICE
from cds_wrapper.bench.process_peak import peak_mib
from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.cube import Question
from cds_wrapper.monitoring.measures import measure


def main(folder: Path, threshold: float, attributes: list[str]) -> None:
    """Measure everybody and every level of every attribute; prints seconds and peak memory."""
    question = Question(SERVICE, MODEL, "1", OUTCOME, AS_OF, threshold)
    started, spent = time.perf_counter(), time.process_time()
    with parquet_source(folder) as source:
        found = measure(source, MonitoredAttributes(tuple(attributes)), question)
    answer = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - spent,
        "peak_mib": peak_mib(),
        "groups": len(found.groups),
        "figures": sum(len(of.figures) for of in found.groups),
    }
    print(json.dumps(answer))  # noqa: T201  for the parent


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])

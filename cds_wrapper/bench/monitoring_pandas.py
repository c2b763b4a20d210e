"""What monitoring is compared with: the same figures as one writes them with pandas and scikit-learn.

    python -m cds_wrapper.bench.monitoring_pandas FOLDER THRESHOLD ATTRIBUTE...

A process of its own; prints seconds by part and its peak memory. Per group: area, confusion matrix, Brier
score, calibration fit, and for nine ratios and the area the error of patients who come again. Per rest: area
and confusion matrix.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, confusion_matrix, roc_auc_score

from cds_wrapper.bench.process_peak import peak_mib

_ROWS = ("patient_key", "score", "label", "state")
_FORMS = ("n", "event", "flag", "both", "score", "score_flagged")
_RATIOS = (
    ("event", "n"),
    ("flag", "n"),
    ("both", "event"),
    ("both", "flag"),
    ("event", "score"),
    ("both", "score_flagged"),
)


def main(folder: Path, threshold: float, attributes: list[str]) -> None:
    """Measure everybody, then every level of every attribute and its rest."""
    spent: dict[str, float] = defaultdict(float)
    started = time.perf_counter()
    table: Any = pd.read_parquet(folder, columns=[*_ROWS, *attributes], partitioning=None)
    table = table[table["state"].isin(["event", "no_event"])]
    table = table.assign(
        n=1.0, event=(table["label"] == 1).astype(float), flag=(table["score"] >= threshold).astype(float)
    )
    table["both"] = table["event"] * table["flag"]
    table["score_flagged"] = table["score"] * table["flag"]
    spent["read"] = time.perf_counter() - started
    groups = 0
    for group, rest in _groups(table, attributes):
        groups += 1
        _measure(group, rest, spent)
    total = time.perf_counter() - started
    print(json.dumps({"seconds": total, "peak_mib": peak_mib(), "groups": groups, "parts": spent}))  # noqa: T201  for the parent


def _groups(table: Any, attributes: list[str]) -> Iterator[tuple[Any, Any | None]]:
    yield table, None
    for attribute in attributes:
        recorded = ~table[attribute].str.startswith("missing")
        for level in sorted(table[attribute].unique()):
            own = table[attribute] == level
            yield table[own], table[recorded & ~own]


def _measure(group: Any, rest: Any | None, spent: dict[str, float]) -> None:
    steps = {"discrimination": _discrimination, "calibration": _calibration, "patients": _patients}
    for name, step in steps.items():
        started = time.perf_counter()
        step(group)
        spent[name] += time.perf_counter() - started
    if rest is not None:
        started = time.perf_counter()
        _discrimination(rest)
        spent["rest"] += time.perf_counter() - started


def _discrimination(rows: Any) -> tuple[float, Any, float]:
    event, score = rows["event"].to_numpy(), rows["score"].to_numpy()
    return (
        roc_auc_score(event, score),
        confusion_matrix(event, rows["flag"].to_numpy()),
        brier_score_loss(event, score),
    )


def _calibration(rows: Any) -> Any:
    p = np.clip(rows["score"].to_numpy(), 1e-6, 1 - 1e-6)
    return LogisticRegression(C=np.inf).fit(np.log(p / (1 - p))[:, None], rows["event"].to_numpy()).coef_


def _patients(rows: Any) -> list[float]:
    """One row per patient, then the clustered error of each ratio and of the area."""
    rank = rows["score"].rank()
    event = rows["event"].to_numpy() == 1
    m, n = event.sum(), (~event).sum()
    own = np.where(event, rows["score"][event].rank().reindex(rows.index), 0.0)
    none = np.where(~event, rows["score"][~event].rank().reindex(rows.index), 0.0)
    part = np.where(event, (rank - own) / n / m, (m - (rank - none)) / m / n)
    part -= np.where(event, part[event].sum() / m, part[~event].sum() / n)
    sums = rows[["patient_key", *_FORMS]].assign(area=part).groupby("patient_key").sum()
    errors = [float((sums["area"] ** 2).sum())]
    for x, y in _RATIOS:
        ratio = sums[x].sum() / sums[y].sum()
        errors.append(float(((sums[x] - ratio * sums[y]) ** 2).sum() / sums[y].sum() ** 2))
    return errors


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])

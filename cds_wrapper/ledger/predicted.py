"""Whether a prediction was recorded of the patient that an outcome is of: by any key that both can have.

The keys are read out of the ledger once, in one pass over a service's predictions, into a temporary table of
a connection that cannot write the ledger: memory does not grow with it, and a look-up is one in an index.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import check_not_empty, error_name
from cds_wrapper.ledger.outcomes import Reported

_KEYS: Final = ("patient_key", "patient_fhir_key", "encounter_key", "prediction_id")
_CASES: Final = " ".join(f"WHEN {number} THEN p.{name}" for number, name in enumerate(_KEYS))
_TABLE: Final = "CREATE TEMP TABLE predicted (key TEXT PRIMARY KEY) WITHOUT ROWID"
# The predictions in the outer loop: each row is read once, whatever the number of its keys. In order, or a
# table larger than the cache would be written all over.
_FILL: Final = (
    f"INSERT OR IGNORE INTO predicted SELECT key FROM (SELECT CASE n.column1 {_CASES} END AS key"  # noqa: S608  names are ours
    f" FROM predictions p CROSS JOIN (VALUES {', '.join(f'({number})' for number in range(len(_KEYS)))}) n"
    " WHERE p.service_id = ?) WHERE key IS NOT NULL ORDER BY key"
)
_HAS: Final = "SELECT 1 FROM predicted WHERE key IN (?, ?, ?, ?) LIMIT 1"


class Predicted:
    """The keys of one service's recorded predictions, of whatever kind: tests and shadow among them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.is_empty = connection.execute("SELECT 1 FROM predicted LIMIT 1").fetchone() is None

    def has(self, row: Reported) -> bool | None:
        """Whether one of the row's keys is a prediction's; None where it cannot be looked up."""
        keys = (row.patient_key, row.patient_fhir_key, row.encounter_key, row.prediction_id)
        try:
            return self._connection.execute(_HAS, keys).fetchone() is not None
        except sqlite3.Error:
            return None


@contextlib.contextmanager
def predicted(ledger: Path, service_id: str) -> Iterator[Predicted]:
    """What is recorded now, for the time of an import; `LedgerUnavailable` when it cannot be read."""
    try:
        check_not_empty(ledger)
        address = f"{ledger.absolute().as_uri()}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=10, isolation_level=None)
        ) as connection:
            connection.execute(_TABLE)
            connection.execute(_FILL, (service_id,))
            yield Predicted(connection)
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{ledger} cannot be read ({error_name(error)}).") from None

"""Reads outcomes out of tables, row by row: CSV here, and what every table's row says."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcome_reading import OpenFile, day_of, moment_of, open_file, plain
from cds_wrapper.ledger.outcomes import Refused, Report, Reported, Row
from cds_wrapper.services.outcomes import TableRule

LONGEST_LINE: Final = 8 << 20
"""Characters of one line of a table."""

_TRUE: Final = frozenset({"1", "1.0", "true", "yes"})
_FALSE: Final = frozenset({"0", "0.0", "false", "no"})
_REASONS: Final = {
    Report.CENSORED: ("left", "competing_event", "excluded"),
    Report.UNVERIFIED: ("not_tested",),
}
"""Why a case is not known: the reasons there are, the first where the row names none."""


def csv_rows(
    path: Path, rule: TableRule, keys: Keys, now: datetime, opens: OpenFile = open_file
) -> Iterator[tuple[int, Row]]:
    """A CSV file with a heading, row by row; `UnreadableFile` names a declared column that it lacks."""
    with plain(path, opens) as content, io.TextIOWrapper(content, "utf-8-sig", newline="") as text:
        reader = csv.DictReader(_lines_of(text, path), strict=True)
        try:
            check_columns(rule, reader.fieldnames or (), path)
            for record in reader:
                # A row with too few cells has None in them, one with too many has the rest under None.
                is_torn = None in record or None in record.values()
                row = Refused.BAD_ROW if is_torn else table_row(record, rule, keys, now)
                yield reader.line_num, row
        except csv.Error:
            problem = f"{path.name} is no CSV behind line {reader.line_num}: is a quote left open?"
            raise UnreadableFile(problem) from None


def _lines_of(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Line by line: a file without line ends, a few megabytes when packed, would be in memory whole."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            problem = f"{path.name} has a line of more than {LONGEST_LINE >> 20} million characters."
            raise UnreadableFile(problem)
        yield line


def check_columns(rule: TableRule, there: Iterable[str], path: Path) -> None:
    """`UnreadableFile` with the first declared column that is not there, or is there twice."""
    named = (rule.patient, rule.encounter, rule.prediction, rule.at, rule.label, rule.state, rule.reason,
             rule.value, rule.known_on, rule.id)  # fmt: skip
    counted = Counter(there)
    missing = [one for one in named if one is not None and one not in counted]
    double = [one for one in named if one is not None and counted[one] > 1]
    if double:
        problem = f"{path.name} has the column `{double[0]}` twice: nothing says which one counts."
        raise UnreadableFile(problem)
    if missing:
        raise UnreadableFile(f"{path.name} has no column `{missing[0]}`, which `outcome.columns` names.")


def table_row(record: Mapping[str, Any], rule: TableRule, keys: Keys, now: datetime) -> Row:
    """One row of a table."""
    patient = _cell(record, rule.patient)
    encounter, prediction = _cell(record, rule.encounter), _cell(record, rule.prediction)
    if not (patient or encounter or prediction):
        return Refused.NO_PATIENT
    at, value = moment_of(_cell(record, rule.at)), _number(_cell(record, rule.value))
    if isinstance(at, Refused) or isinstance(value, Refused):
        return at if isinstance(at, Refused) else value if isinstance(value, Refused) else None
    if at is not None and at > now:
        return Refused.IN_THE_FUTURE
    report = _report(record, rule, value)
    if not isinstance(report, Report):
        return report
    if report is Report.EVENT and at is None and not (encounter or prediction):
        return Refused.NO_TIME
    reason = _reason(_cell(record, rule.reason).lower(), report)
    if isinstance(reason, Refused):
        return reason
    if prediction and not keys.is_oldest:
        return None
    patient_system = rule.patient_system or next(iter(keys.patient_systems), "")
    encounter_system = rule.encounter_system or next(iter(keys.encounter_systems), "")
    return Reported(
        outcome_id=keys.outcome_id("row", _named(record, rule, at)),
        report=report,
        patient_key=keys.pseudonyms.patient(patient_system, patient) if patient else None,
        encounter_key=keys.pseudonyms.encounter(encounter_system, encounter) if encounter else None,
        prediction_id=prediction or None,
        reason=reason,
        happened_at=at,
        value=value,
        known_on=day_of(_cell(record, rule.known_on)),
    )


def _named(record: Mapping[str, Any], rule: TableRule, at: datetime | None) -> str:
    """What the source calls a row, or what it is about.

    A case is that of its encounter or prediction, whenever its event was: "no" that becomes "yes" is one row
    corrected, not two.
    """
    if _cell(record, rule.id):
        return _cell(record, rule.id)
    about = [_cell(record, one) for one in (rule.patient, rule.encounter, rule.prediction)]
    is_case = (rule.label is not None or rule.state is not None) and any(about[1:])
    return "|".join((*about, at.isoformat() if at and not is_case else ""))


def _report(record: Mapping[str, Any], rule: TableRule, value: float | None) -> Report | Refused | None:
    """What a row says; None for a row per event that is none."""
    if rule.state is not None:
        state = _cell(record, rule.state).lower()
        return next((one for one in Report if one.value == state), Refused.BAD_STATE)
    if rule.label is not None:
        label = _cell(record, rule.label).lower()
        if label in _TRUE | _FALSE:
            return Report.EVENT if label in _TRUE else Report.NO_EVENT
        return Refused.BAD_STATE if label else Report.UNVERIFIED
    if rule.value is not None:
        return None if value is None else Report.EVENT if value > 0 else Report.NO_EVENT
    return Report.EVENT


def _reason(written: str, report: Report) -> str | Refused | None:
    known = _REASONS.get(report, ())
    if not known:
        return None
    return known[0] if not written else written if written in known else Refused.BAD_STATE


def _cell(record: Mapping[str, Any], column: str | None) -> str:
    value = record.get(column) if column is not None else None
    return "" if value is None else str(value).strip()


def _number(text: str) -> float | Refused | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return Refused.BAD_VALUE
    return value if math.isfinite(value) and value >= 0 else Refused.BAD_VALUE

"""`outcomes import`: what became of patients, out of the hospital's own files."""

from __future__ import annotations

import enum
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TextIO

import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper.app import pseudonyms_of
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcome_sources import (
    Keys,
    check_columns,
    csv_rows,
    digest_of,
    fhir_rows,
    learn_patients,
    table_row,
)
from cds_wrapper.ledger.outcomes import FollowUp, Imported, Refused, Row, Subject, import_rows
from cds_wrapper.services import examine_services
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.outcomes import Outcome
from cds_wrapper.settings import Settings, read_settings

REJECTED_EXIT: Final = 4


class Action(enum.Enum):
    """What is done."""

    IMPORT = "import"


class Form(enum.Enum):
    """What a file is; without it, its name tells."""

    CSV = "csv"
    PARQUET = "parquet"
    FHIR = "fhir"


def command(  # noqa: PLR0913, PLR0917  each is an option of the command line
    action: Annotated[Action, typer.Argument(help="`import`.")],
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV, Parquet or NDJSON files (also .gz); of an export, Patient first."),
    ],
    service: Annotated[str, typer.Option(help="Service whose outcome they tell.")],
    outcome: Annotated[
        str | None, typer.Option(help="Name of the outcome; without it that which the score predicts.")
    ] = None,
    covers: Annotated[
        list[str] | None,
        typer.Option(
            help="Days on which every event would be in these files, `2026-01-01/2026-02-01` (the second one"
            " left out). Without it a patient without an event is not known to have had none."
        ),
    ] = None,
    site: Annotated[str | None, typer.Option(help="The site whose patients they cover; else all.")] = None,
    form: Annotated[Form | None, typer.Option("--format", help="What the files are.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where refused rows are listed, line and reason; mode 0600.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with the counts.")] = False,
) -> None:
    """Import outcomes, by what `service.yaml` declares of them, under the pseudonyms of the predictions.

    \b
    It runs beside the service and may be run again: a row that says nothing new is not written twice, and an
    import that was cut off goes on. A later row of the same outcome replaces the earlier one; both stay.
    Exit codes: 0 imported, 2 a setting or a file cannot be used, 3 no such service or outcome, 4 imported but
    for rows that were refused.

    \b
    Example: python3 run.py outcomes import Patient.ndjson Encounter.ndjson --service readmission \\
             --covers 2026-01-01/2026-02-01
    """
    del action
    settings, definition = _service(service)
    declared = _outcome(definition, outcome)
    follow_up = [_period(text, site) for text in covers or ()]
    keys = _keys(settings, definition, declared)
    where = rejects or beside(settings.ledger_path).with_name("outcomes-rejected.jsonl")
    total: dict[str, Imported] = {}
    try:
        for path in files:
            if _form(path, form) is Form.FHIR:
                learn_patients(path, keys)
        for path in files:
            total[path.name] = _import(path, _form(path, form), declared, keys, settings, follow_up, where)
    except (LedgerUnavailable, ConfigurationRefused) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except KeyError as missing:
        _refuse(f"A file has no column `{missing.args[0]}`, which `outcome.columns` names.")
    except OSError as error:
        _refuse(f"{error.filename} cannot be read ({error.strerror}).")
    _say(total, where, as_json)
    if any(one.rejected for one in total.values()):
        raise typer.Exit(REJECTED_EXIT)


def _refuse(sentence: str, code: int = CONFIGURATION_EXIT) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _service(name: str) -> tuple[Settings, ServiceDefinition]:
    try:
        settings = read_settings()
    except ConfigurationRefused as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    examined = examine_services(settings.hooks)
    found = next((one for one in examined.services if one.id == name), None)
    if found is None:
        _refuse(f"There is no service `{name}` in {settings.hooks}: see `check`.", NOT_FOUND_EXIT)
    return settings, found


def _outcome(service: ServiceDefinition, name: str | None) -> Outcome:
    every = (service.outcome, *service.further_outcomes)
    found = next((one for one in every if name in {None, one.name}), None)
    if found is None:
        known = ", ".join(one.name for one in every)
        _refuse(f"`{service.id}` declares no outcome `{name}`; it has {known}.", NOT_FOUND_EXIT)
    return found


def _period(text: str, site: str | None) -> FollowUp:
    try:
        first, last = (date.fromisoformat(part) for part in text.split("/"))
    except ValueError:
        _refuse(f"--covers {text} is no stretch of days: write `2026-01-01/2026-02-01`.")
    if first >= last:
        _refuse(f"--covers {text} ends before it begins.")
    return FollowUp(first, last, site)


def _keys(settings: Settings, service: ServiceDefinition, outcome: Outcome) -> Keys:
    if settings.pseudonym_keys is None:
        _refuse(
            "CDS_WRAPPER_PSEUDONYM_KEYS is not set: outcomes need the keys the predictions were made with."
        )
    return Keys(
        pseudonyms_of(settings),
        settings.namespace,
        service.identifiers.patient,
        service.identifiers.encounter,
        service.id,
        outcome.name,
    )


def _form(path: Path, form: Form | None) -> Form:
    if form is not None:
        return form
    names = [suffix for suffix in path.suffixes if suffix != ".gz"]
    by_name = {".csv": Form.CSV, ".parquet": Form.PARQUET, ".ndjson": Form.FHIR, ".jsonl": Form.FHIR}
    found = by_name.get(names[-1] if names else "")
    if found is None:
        _refuse(f"{path.name} does not tell by its name what it is: say so with --format.")
    return found


def _import(
    path: Path,
    form: Form,
    outcome: Outcome,
    keys: Keys,
    settings: Settings,
    follow_up: list[FollowUp],
    rejects: Path,
) -> Imported:
    now = datetime.now(UTC)
    subject = Subject(keys.service_id, outcome.name, digest_of(path), form.value)
    with ExitStack() as stack:
        progress = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        stack.enter_context(progress)
        task = progress.add_task(path.name, total=None)
        refused = _Rejects(rejects, path.name, stack)
        return import_rows(
            beside(settings.ledger_path),
            subject,
            _rows(path, form, outcome, keys, now),
            follow_up,
            refused.add,
            lambda rows: progress.advance(task, rows),
        )


def _rows(path: Path, form: Form, outcome: Outcome, keys: Keys, now: datetime) -> Iterator[tuple[int, Row]]:
    if form is Form.FHIR:
        return fhir_rows(path, outcome, keys, now)
    if outcome.table is None:
        _refuse(f"`{outcome.name}` declares no `columns`, so no table can be read.")
    if form is Form.CSV:
        return csv_rows(path, outcome.table, keys, now)
    return _parquet_rows(path, outcome, keys, now)


def _parquet_rows(path: Path, outcome: Outcome, keys: Keys, now: datetime) -> Iterator[tuple[int, Row]]:
    import pyarrow.parquet as pq  # noqa: PLC0415  half a second that only a Parquet file is worth

    rule = outcome.table
    file = pq.ParquetFile(path)
    number = 0
    if rule is None:
        return
    check_columns(rule, file.schema_arrow.names)
    for batch in file.iter_batches(batch_size=10_000):
        for record in batch.to_pylist():
            number += 1
            yield number, table_row(_as_text(record), rule, keys, now)


def _as_text(record: dict[str, Any]) -> dict[str, Any]:
    """Dates and times as ISO 8601, whole numbers without a fraction."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in record.items()
    }


class _Rejects:
    """The file of refused rows; made when the first one comes."""

    def __init__(self, path: Path, name: str, stack: ExitStack) -> None:
        self._path, self._name, self._stack = path, name, stack
        self._file: TextIO | None = None

    def add(self, line: int, why: Refused) -> None:
        """Note one, without anything of its content."""
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = self._stack.enter_context(os.fdopen(descriptor, "a", encoding="utf-8"))
        self._file.write(json.dumps({"file": self._name, "line": line, "reason": why.value}) + "\n")


def _say(total: dict[str, Imported], rejects: Path, as_json: bool) -> None:
    if as_json:
        told = {
            name: {
                "read": one.read,
                "written": one.written,
                "said_before": one.same,
                "rejected": dict(one.rejected),
                "was_done": one.was_done,
            }
            for name, one in total.items()
        }
        typer.echo(json.dumps(told))
        return
    for name, one in total.items():
        if one.was_done:
            typer.echo(f"{name}: imported before; nothing was written.")
            continue
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(one.rejected.items()))
        typer.echo(
            f"{name}: {one.read} rows read, {one.written} written, {one.same} said nothing new"
            + (f"; refused: {refused} (see {rejects})" if refused else "")
        )

"""`export`: what the ledger holds, as lines of the prediction stream or as Parquet."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.lines import CORRECTION, DECISION, FEEDBACK, KINDS, PREDICTION, LineKind
from cds_wrapper.ledger.tail import Row, Tail
from cds_wrapper.settings import read_settings

MOST_ROWS = 1000
NOT_WRITTEN_EXIT = 1
_SCHEMAS = {kind.table: kind.schema for kind in (*KINDS, DECISION)}


class What(enum.Enum):
    """Which rows are written."""

    PREDICTIONS = "predictions"
    CORRECTIONS = "corrections"
    FEEDBACK = "feedback"
    DECISIONS = "decisions"
    SUBGROUPS = "prediction-subgroups"
    EPISODES = "episodes"
    OUTCOMES = "outcomes"


class Format(enum.Enum):
    """In which form."""

    JSONL = "jsonl"
    PARQUET = "parquet"


_KIND_OF: Mapping[What, LineKind] = {
    What.PREDICTIONS: PREDICTION,
    What.CORRECTIONS: CORRECTION,
    What.FEEDBACK: FEEDBACK,
    What.DECISIONS: DECISION,
}


def command(  # noqa: PLR0913, PLR0917  each is an option of the command line
    what: Annotated[
        What,
        typer.Argument(
            help="`predictions` with the corrections that belong to them, `corrections` alone, `feedback`, or"
            " `decisions`, which are not in the stream. As Parquet alone: `prediction-subgroups`, a row per"
            " prediction and attribute; `episodes` as of a day with their further outcomes; `outcomes` with"
            " the days they cover."
        ),
    ],
    since: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="Rows with a sequence greater than this; 0 is all of them."),
    ] = 0,
    writer: Annotated[
        str | None,
        typer.Option(help="Rows of this writer only; each writer has its own count of sequences."),
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="`jsonl`: a line of JSON for each row; `parquet`: a folder of tables, for which --output"
            " names it.",
        ),
    ] = Format.JSONL,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write, mode 0600, whole or not at all; else standard output. The folder of Parquet."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    service: Annotated[
        str | None, typer.Option(help="Service whose episodes or outcomes are written; else all.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day the episodes are an answer for (UTC); else today."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object with the counts; on standard error without --output.",
        ),
    ] = False,
) -> None:
    """Write rows of the ledger: as the prediction stream wrote them, byte for byte, or as Parquet.

    \b
    It runs beside the service; rows written after its start are left for the next export, and erased rows are
    not there any more. What it writes is health data.
    A folder of Parquet is added to: run it every night, with the same folder. `manifest.json` there names
    every part, its rows and its digest, and each writer's last sequence. Episodes and outcomes are replaced.
    Exit codes: 0 written, 1 the output cannot be written or is there already, 2 a setting is wrong or the
    ledger cannot be read, 3 no such writer or service.

    \b
    Example: python3 run.py export predictions --since 184223 --output predictions.jsonl
    Example: python3 run.py export predictions --format parquet --output exported
    """
    if form is Format.PARQUET:
        _as_parquet(what, output, since, writer, service, as_of, as_json)
        return
    if what not in _KIND_OF or service is not None or as_of is not None:
        _refuse(f"{what.value} of a service or a day are written as Parquet: add --format parquet.")
    _as_lines(what, output, since, writer, overwrite, as_json)


def _as_lines(
    what: What, output: Path | None, since: int, writer: str | None, overwrite: bool, as_json: bool
) -> None:
    if output is not None and output.exists() and not overwrite:
        typer.echo(f"{output} is there already: name another file, or add --overwrite.", err=True)
        raise typer.Exit(NOT_WRITTEN_EXIT)
    try:
        ledger = read_settings().ledger_path
        _refuse_what_is_no_export(output, ledger)
        export = Export(ledger, _KIND_OF[what], since, writer)
    except (ConfigurationRefused, LedgerUnavailable) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    if writer is not None and not export.heads:
        typer.echo(f"The ledger holds no {what.value} of a writer {writer!r}.", err=True)
        raise typer.Exit(NOT_FOUND_EXIT)
    _written(export, output, overwrite)
    summary = {"what": what.value, "since": since, "format": Format.JSONL.value, **export.summary()}
    if as_json:
        typer.echo(json.dumps(summary), err=output is None)
    elif output is not None:
        typer.echo(f"{output}: {_in_words(export.lines)}")


def _as_parquet(
    what: What,
    folder: Path | None,
    since: int,
    writer: str | None,
    service: str | None,
    as_of: datetime | None,
    as_json: bool,
) -> None:
    if what is What.DECISIONS or writer is not None or folder is None:
        _refuse("Parquet is of every writer, of all but decisions, and needs the folder: --output DIR.")
    if importlib.util.find_spec("pyarrow") is None:
        _refuse("This needs the libraries of analysis: pip install 'cds-wrapper[monitor]'.")
    from cds_wrapper.commands import export_parquet  # noqa: PLC0415  half a second that only Parquet is worth

    try:
        settings = read_settings()
    except ConfigurationRefused as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    day = as_of.date() if as_of else None
    written = export_parquet.export_parquet(what.value, folder, settings, since, service, day)
    export_parquet.say(written, folder, as_json)


def _refuse(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(CONFIGURATION_EXIT)


def _refuse_what_is_no_export(output: Path | None, ledger: Path) -> None:
    """Never replace the ledger, what stands beside it under its name, or anything but a file."""
    if output is None or not output.exists():
        return
    place, kept = output.resolve(), ledger.resolve()
    is_the_ledgers = place.parent == kept.parent and place.name.startswith(kept.name)
    if is_the_ledgers or not output.is_file():
        what = "belongs to the ledger" if is_the_ledgers else "is no file"
        typer.echo(f"{output} {what}: name another file.", err=True)
        raise typer.Exit(NOT_WRITTEN_EXIT)


class Export:
    """The rows behind a sequence, up to what the ledger holds now; `LedgerUnavailable` as `Tail`."""

    def __init__(self, ledger: Path, kind: LineKind, since: int, writer: str | None) -> None:
        self._tail = Tail(ledger)
        self._kind = kind
        self._since = since
        heads = self._tail.heads(kind)
        self.heads = {name: head for name, head in heads.items() if writer in {None, name}}
        self.lines: Counter[str] = Counter({kind.schema: 0})

    @property
    def total(self) -> int:
        """How many rows of its own kind it holds, at most."""
        return sum(max(0, head - self._since) for head in self.heads.values())

    def batches(self) -> Iterator[list[Row]]:
        """The rows, writer by writer, each batch from a snapshot of its own."""
        try:
            for writer, head in self.heads.items():
                after = self._since
                while rows := self._tail.rows(self._kind, writer, after, head, MOST_ROWS):
                    self.lines.update(_SCHEMAS[row.table] for row in rows)
                    yield rows
                    after = max(row.place.sequence for row in rows if row.table == self._kind.table)
        finally:
            self._tail.close()

    def summary(self) -> dict[str, object]:
        """How many lines of each schema, and each writer's last sequence: what the next `since` can be."""
        return {"lines": dict(self.lines), "last_sequence": self.heads}


def _written(export: Export, output: Path | None, overwrite: bool) -> None:
    try:
        if output is None:
            _copy(export.batches(), sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with _whole_or_not_at_all(output, overwrite) as file:
                _copy(_with_progress(export), file)
    except LedgerUnavailable as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except BrokenPipeError:
        # The reader has what it wanted; Python must not try to flush the rest into the pipe when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(NOT_WRITTEN_EXIT) from None
    except OSError as error:
        place = output or "Standard output"
        typer.echo(f"{place} cannot be written ({type(error).__name__}: {error.strerror}).", err=True)
        raise typer.Exit(NOT_WRITTEN_EXIT) from None


def _copy(batches: Iterable[list[Row]], file: BinaryIO) -> None:
    file.writelines(b"".join(row.line for row in rows) for rows in batches)


def _with_progress(export: Export) -> Iterator[list[Row]]:
    """The batches, with a bar on a terminal."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("export", total=export.total)
        for rows in export.batches():
            yield rows
            progress.advance(task, len(rows))


@contextlib.contextmanager
def _whole_or_not_at_all(output: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that takes its name when everything is in it and on the disk; mode 0600 from its first byte."""
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    made = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            made.replace(output)
        else:
            os.link(made, output)  # unlike a rename, it refuses a name that was taken meanwhile
    finally:
        made.unlink(missing_ok=True)


def _in_words(lines: Mapping[str, int]) -> str:
    return ", ".join(f"{count} lines {schema}" for schema, count in lines.items())

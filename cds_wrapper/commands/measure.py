"""`measure`: the figures by group of any table of scores and outcomes, before go-live or published."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from cds_wrapper.commands.problems import CONFIGURATION_EXIT
from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.cube import Question
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.suppression import FLOOR, Cell, Sum, hidden_cells
from cds_wrapper.monitoring.table_file import (
    NAME,
    ReadTable,
    TableColumns,
    UnreadableTable,
    read_table,
    score_quantile,
)
from cds_wrapper.monitoring.values import EVERYBODY, GroupFigures, Measure, Measured, ServiceFigures

_SHOWN: Final = (
    Measure.EVENT_RATE,
    Measure.OE_RATIO,
    Measure.AUROC,
    Measure.SENSITIVITY,
    Measure.PPV,
    Measure.OE_RATIO_TO_REST,
    Measure.SENSITIVITY_GAP,
)
_SCORE_KINDS: Final = ("probability", "index", "rank")


def command(  # noqa: PLR0913, PLR0917  each is an option of the command line
    file: Annotated[Path, typer.Argument(help="CSV (also .gz) or Parquet file, one row per prediction.")],
    score: Annotated[str, typer.Option(help="Column of the score.")],
    event: Annotated[
        str, typer.Option(help="Column of the outcome, 1 or 0; `COLUMN=TEXT` where the event is a text.")
    ],
    patient: Annotated[
        str | None,
        typer.Option(help="Column that names the patient; without it every row is another person."),
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="Column of an attribute to look at; give it several times.")
    ] = None,
    crossing: Annotated[
        list[str] | None,
        typer.Option(help="Two attributes to cross, as `race*gender`; none but those listed."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The score from which a patient is flagged.")
    ] = None,
    flag_share: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="Instead: flag this share of the rows.")
    ] = None,
    score_kind: Annotated[
        str,
        typer.Option(help="`probability`, or `index` or `rank`, for which nothing is said of calibration."),
    ] = "probability",
    small_cells: Annotated[
        bool, typer.Option("--small-cells", help="Show counts of 1 to 10 too, to those who may see them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
) -> None:
    """Measure a model by group from a table of scores and outcomes, as `review` does from the record.

    \b
    Intervals are widened where patients come again. Nothing is kept.
    Exit codes: 0 measured, 2 the file or an option cannot be used.

    \b
    Example: python3 run.py measure stays.csv --score risk --event back=yes --patient person --group race
    """
    if score_kind not in _SCORE_KINDS:
        raise _refused(f"--score-kind is one of {', '.join(_SCORE_KINDS)}.")
    column, _, value = event.partition("=")
    groups = tuple(group or ())
    crossings = tuple(tuple(one.split("*")) for one in crossing or ())
    if any(set(one) - set(groups) for one in crossings):
        raise _refused("--crossing crosses attributes that --group names.")
    columns = TableColumns(score, column, value or None, patient, None, groups)
    try:
        at = _threshold(file, score, threshold, flag_share)
        with tempfile.TemporaryDirectory(prefix="cds-wrapper-measure-") as folder:
            table = read_table(file, columns, at, score_kind, Path(folder))
            found = _figures(table, columns, MonitoredAttributes(groups, crossings), at, score_kind)
    except UnreadableTable as error:
        raise _refused(error.sentence) from None
    hidden = frozenset() if small_cells else _hidden(found)
    if as_json:
        typer.echo(json.dumps(_document(table, found, hidden), default=str))
    else:
        _print(table, found, hidden)


def _refused(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(CONFIGURATION_EXIT)


def _threshold(file: Path, score: str, threshold: float | None, flag_share: float | None) -> float | None:
    return score_quantile(file, score, 1 - flag_share) if flag_share is not None else threshold


def _figures(
    table: ReadTable,
    columns: TableColumns,
    attributes: MonitoredAttributes,
    threshold: float | None,
    score_kind: str,
) -> ServiceFigures:
    question = Question(NAME, NAME, "1", columns.event, date.max, threshold, score_kind)
    with parquet_source(table.episodes, table.further) as source:
        return measure(source, attributes, question)


def _hidden(found: ServiceFigures) -> frozenset[Cell]:
    """The counts that may not be shown: events and others of each group, and what would give them away."""
    counts: dict[Cell, int] = {}
    sums: list[Sum] = []
    for one in found.groups:
        n, events = _mature(one)
        name = str(one.group)
        counts |= {(name, "n"): n, (name, "events"): events, (name, "others"): n - events}
        sums.append(Sum((name, "n"), ((name, "events"), (name, "others"))))
    for attribute in {one.group.attribute for one in found.groups} - {""}:
        levels = [str(one.group) for one in found.groups if one.group.attribute == attribute]
        if "*" not in attribute:  # a crossing leaves out those of whom one value is missing
            sums += [
                Sum((str(EVERYBODY), what), tuple((level, what) for level in levels))
                for what in ("n", "events", "others")
            ]
    return hidden_cells(counts, sums, row_of=lambda cell: cell[0])


def _mature(one: GroupFigures) -> tuple[int, int]:
    events = one.counts["event"]
    return events + one.counts["no_event"], events


def _is_hidden(one: GroupFigures, hidden: frozenset[Cell]) -> bool:
    return any((str(one.group), what) in hidden for what in ("n", "events", "others"))


def _document(table: ReadTable, found: ServiceFigures, hidden: frozenset[Cell]) -> dict[str, Any]:
    return {
        "rows": table.rows,
        "not_used": dict(table.refused),
        "threshold": found.threshold,
        "outcome": found.outcome,
        "groups": [_group(one, _is_hidden(one, hidden)) for one in found.groups],
    }


def _group(one: GroupFigures, is_hidden: bool) -> dict[str, Any]:
    name = {"group": str(one.group), "where": dict(one.group.where), "exclusive": one.group.exclusive}
    if is_hidden:
        return {**name, "hidden": f"a count below {FLOOR}, or one that would give another away"}
    figures = [
        {key: _plain(value) for key, value in asdict(figure).items() if key not in {"group", "period"}}
        for figure in one.figures
    ]
    return {**name, "counts": one.counts, "figures": figures}


def _plain(value: object) -> object:
    return getattr(value, "value", value)


def _print(table: ReadTable, found: ServiceFigures, hidden: frozenset[Cell]) -> None:
    left = ", ".join(f"{count} {reason}" for reason, count in table.refused.items())
    typer.echo(f"{table.rows} rows" + (f"; {left}" if left else ""))
    if found.threshold is not None:
        typer.echo(f"flagged from a score of {found.threshold:.6g}")
    page = Table("group", "n", "events", *(one.value for one in _SHOWN))
    for one in found.groups:
        page.add_row(str(one.group), *_cells(one, hidden))
    console = Console()
    console.width = max(console.width, 190) if not console.is_terminal else console.width
    console.print(page)
    if hidden:
        typer.echo(
            f"-: a count below {FLOOR}, or one that would give another away; its figures are left out."
        )


def _cells(one: GroupFigures, hidden: frozenset[Cell]) -> Iterator[str]:
    if _is_hidden(one, hidden):
        yield from ("-", "-", *("-" for _ in _SHOWN))
        return
    n, events = _mature(one)
    yield from (str(n), str(events))
    yield from (_written(one.of(measure_)) for measure_ in _SHOWN)


def _written(figure: Measured | None) -> str:
    if figure is None:
        return ""
    if figure.value is None:
        return figure.why_not.value if figure.why_not else ""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"

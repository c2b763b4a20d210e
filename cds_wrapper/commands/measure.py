"""`measure`: the figures by group of any table of scores and outcomes, before go-live or published."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer

from cds_wrapper.commands.measured import Done
from cds_wrapper.commands.measured_json import document
from cds_wrapper.commands.measured_text import show
from cds_wrapper.commands.problems import CONFIGURATION_EXIT
from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.cube import PROBABILITY, Question
from cds_wrapper.monitoring.equal_scores import equal_scores
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.row_figures import row_figures
from cds_wrapper.monitoring.table_file import (
    NAME,
    TableColumns,
    TableOutcome,
    UnreadableTable,
    read_table,
    score_quantile,
    score_range,
)
from cds_wrapper.monitoring.values import GroupFigures, Measure, ServiceFigures, WhyNot
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role

_SCORE_KINDS: Final = (PROBABILITY, "index", "rank")
_FURTHER: Final = re.compile(
    r"(?P<name>[A-Za-z_][\w .-]*)=(?P<column>.+?):(?P<kind>binary|count|cost)(:(?P<role>need|label))?"
)

_Event = Annotated[
    str | None,
    typer.Option(
        help="Column of the outcome, 1 or 0; `COLUMN=TEXT` where the event is a text. It is what the"
        " score was trained on, unless a further outcome is."
    ),
]
_Further = Annotated[
    list[str] | None,
    typer.Option(
        help="A further outcome, `NAME=COLUMN:KIND` or `NAME=COLUMN:KIND:ROLE`: `binary`, `count` or"
        " `cost`, which the score is used for (`need`, as without a role) or was trained on (`label`)."
    ),
]
_Kind = Annotated[
    str | None,
    typer.Option(
        help="`probability`, or `index` (points, a raw score) or `rank` (a percentile), for which nothing"
        " is said of O/E. Without it a score is a probability when all are within 0 and 1."
    ),
]


def command(  # noqa: PLR0913, PLR0917  each is an option of the command line
    file: Annotated[Path, typer.Argument(help="CSV (also .gz) or Parquet file, one row per prediction.")],
    score: Annotated[str, typer.Option(help="Column of the score.")],
    event: _Event = None,
    further: _Further = None,
    patient: Annotated[
        str | None,
        typer.Option(help="Column that names the patient; without it every row is another person."),
    ] = None,
    day: Annotated[str | None, typer.Option(help="Column with the day of the prediction.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="Column of an attribute to look at; give it several times.")
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(help="A text that says that an attribute is not on record, as `?`; an empty one does."),
    ] = None,
    crossing: Annotated[
        list[str] | None,
        typer.Option(help="Two attributes to cross, as `race*gender`; none but those listed."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The score from which a patient is flagged.")
    ] = None,
    flag_share: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=0.999,
            help="Instead of --threshold: flag this share of the rows, the highest; 0.03: from the 97th per"
            " cent on.",
        ),
    ] = None,
    score_kind: _Kind = None,
    small_cells: Annotated[
        bool, typer.Option("--small-cells", help="Show counts of 1 to 10 too, to those who may see them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
) -> None:
    """Measure a model by group from a table of scores and outcomes, as `review` does from the record.

    \b
    Each outcome is also compared at equal score: a score can be right about what it was
    trained on, say cost, and too low for what it is used for, say illness.
    Intervals are widened where patients come again. Nothing is kept.
    Exit codes: 0 measured, 2 the file or an option cannot be used.

    \b
    Example: python3 run.py measure stays.csv --score risk --event back=yes --patient person --group race
             python3 run.py measure people.csv --score risk --further cost=paid:cost:label
                 --further illness=conditions:count:need --group race --flag-share 0.03
    """
    try:
        columns = _columns(score, event, further or [], patient, day, group or [], missing or [])
        attributes = MonitoredAttributes(tuple(columns.groups), _crossings(crossing or [], columns))
        at = _flagged_from(file, score, threshold, flag_share)
        kind = _kind(file, score, score_kind)
        done = _measured(file, columns, attributes, at, kind, event)
    except UnreadableTable as error:
        typer.echo(error.sentence, err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    if as_json:
        typer.echo(json.dumps(document(done, small_cells), default=str))
    else:
        show(done, small_cells)


def _columns(
    score: str,
    event: str | None,
    further: list[str],
    patient: str | None,
    day: str | None,
    groups: list[str],
    missing: list[str],
) -> TableColumns:
    column, _, value = (event or "").partition("=")
    if not event and not further:
        raise UnreadableTable("Name an outcome: --event COLUMN, or --further NAME=COLUMN:KIND:ROLE.")
    others = tuple(_outcome(one) for one in further)
    names = [*(one.name for one in others), *([column] if column else [])]
    if len(set(names)) < len(names):
        raise UnreadableTable("Two outcomes have one name: give each --further another.")
    if sum(one.role == Role.LABEL.value for one in others) > 1:
        raise UnreadableTable("A score was trained on one outcome: give one --further the role label.")
    return TableColumns(
        score,
        column or None,
        value or None,
        patient,
        day,
        tuple(dict.fromkeys(groups)),
        others,
        tuple(missing),
    )


def _outcome(text: str) -> TableOutcome:
    found = _FURTHER.fullmatch(text)
    if found is None:
        raise UnreadableTable(
            f"--further {text} is not NAME=COLUMN:KIND:ROLE, as illness=conditions:count:need: the kind is"
            " binary, count or cost, the role need or label."
        )
    return TableOutcome(found["name"], found["column"], found["kind"], found["role"] or Role.NEED.value)


def _crossings(crossings: list[str], columns: TableColumns) -> tuple[tuple[str, ...], ...]:
    found = tuple(tuple(one.split("*")) for one in crossings)
    if any(set(one) - set(columns.groups) or len(one) < 2 for one in found):
        raise UnreadableTable("--crossing crosses attributes that --group names, as race*gender.")
    return found


def _flagged_from(file: Path, score: str, threshold: float | None, flag_share: float | None) -> float | None:
    """The score from which a patient is flagged; None when nobody is."""
    if threshold is not None and flag_share is not None:
        raise UnreadableTable("--threshold and --flag-share each say who is flagged: give one of them.")
    return threshold if flag_share is None else score_quantile(file, score, 1 - flag_share)


def _kind(file: Path, score: str, wanted: str | None) -> str:
    """What kind of score it is: what was said, else what the scores can be."""
    if wanted is not None and wanted not in _SCORE_KINDS:
        raise UnreadableTable(f"--score-kind is one of {', '.join(_SCORE_KINDS)}.")
    low, high = score_range(file, score)
    is_within = low >= 0 and high <= 1
    if wanted == PROBABILITY and not is_within:
        raise UnreadableTable(
            f"The scores in `{score}` lie in {low:g} to {high:g}: they are no probabilities."
            " Say --score-kind index or rank, or divide per cents by 100 first."
        )
    return wanted or (PROBABILITY if is_within else "index")


def _measured(
    file: Path,
    columns: TableColumns,
    attributes: MonitoredAttributes,
    threshold: float | None,
    kind: str,
    event: str | None,
) -> Done:
    with tempfile.TemporaryDirectory(prefix="cds-wrapper-measure-") as folder:
        table = read_table(file, columns, threshold, kind, Path(folder))
        question = Question(
            NAME, NAME, "1", columns.outcome, date.max, threshold, kind, frozen_on=max(1, table.rows)
        )
        outcomes = _declared(columns)
        with parquet_source(table.episodes, table.further) as source:
            found = measure(source, attributes, question)
            exact = row_figures(source, attributes, question, found)
            compared = equal_scores(source, attributes, question, outcomes) if columns.groups else ()
    return Done(
        table,
        exact.figures if columns.event else _flags_alone(found),
        compared,
        outcomes,
        {columns.outcome: event or ""} | {one.name: f"{one.column}, a {one.kind}" for one in columns.further},
        kind,
        has_days=columns.day is not None,
        bands=exact.bands if columns.event else {},
    )


def _declared(columns: TableColumns) -> tuple[Outcome, ...]:
    """The outcomes to compare at equal score; the event is the label unless another one is."""
    further = tuple(
        Outcome(one.name, one.name, "P0D", OutcomeKind(one.kind), Role(one.role)) for one in columns.further
    )
    if columns.event is None:
        return further
    role = Role.NEED if any(one.role is Role.LABEL for one in further) else Role.LABEL
    return (Outcome(columns.outcome, columns.outcome, "P0D", OutcomeKind.BINARY, role), *further)


def _flags_alone(found: ServiceFigures) -> ServiceFigures:
    """Without an event there are no figures but the share that is flagged."""
    return replace(found, groups=tuple(_without_events(one) for one in found.groups))


def _without_events(one: GroupFigures) -> GroupFigures:
    figures = tuple(
        figure
        if figure.measure is Measure.FLAG_RATE
        else replace(figure, value=None, low=None, high=None, why_not=WhyNot.NO_OUTCOME_OF_THIS_KIND)
        for figure in one.figures
    )
    return replace(one, figures=figures)

"""What `measure` found, as tables with the figures that are looked at first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from cds_wrapper.commands.measured import HIDDEN, Done
from cds_wrapper.monitoring.cells import OF_THE_THRESHOLD
from cds_wrapper.monitoring.equal_scores import Among, Compared, Reading
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.grading import grade_of
from cds_wrapper.monitoring.values import GroupFigures, Measure, Measured

_SHOWN: Final = (
    Measure.EVENT_RATE,
    Measure.OE_RATIO,
    Measure.AUROC,
    Measure.FLAG_RATE,
    Measure.SENSITIVITY,
    Measure.PPV,
    Measure.OE_RATIO_TO_REST,
    Measure.SENSITIVITY_GAP,
)


def show(done: Done, small_cells: bool) -> None:
    """What is looked at first, for people."""
    left = ", ".join(f"{count} {reason}" for reason, count in done.table.refused.items())
    typer.echo(f"{done.table.rows} rows" + (f"; {left}" if left else ""))
    if done.score_kind != "probability":
        typer.echo(f"the score is no probability ({done.score_kind}): nothing is said of O/E or calibration")
    if done.figures.threshold is not None:
        typer.echo(f"flagged from a score of {done.figures.threshold:.6g}")
    console = Console()
    if not console.is_terminal:
        console.width = 260
    console.print(_by_group(done, small_cells))
    if done.compared:
        console.print(_at_equal_score(done, small_cells))
    for sentence in _sentences(done, small_cells):
        typer.echo(sentence)


def _by_group(done: Done, small_cells: bool) -> Table:
    shown = [
        one
        for one in _SHOWN
        if any((found := each.of(one)) and found.value is not None for each in done.figures.groups)
    ]
    page = Table(title="By group", title_justify="left")
    page.add_column("group", no_wrap=True)
    for name in ("n", *(["events", "evidence"] if done.has_event else []), *(one.value for one in shown)):
        page.add_column(name)
    for each in done.figures.groups:
        page.add_row(str(each.group), *_cells(done, each, shown, small_cells))
    return page


def _cells(done: Done, one: GroupFigures, shown: Sequence[Measure], small_cells: bool) -> Iterator[str]:
    is_hidden = not small_cells and one.group in done.hidden.counts
    events = one.counts["event"]
    counts = [str(events + one.counts["no_event"])]
    if done.has_event:
        counts += [str(events), grade_of(one).value]
    yield from (("-" for _ in counts) if is_hidden else counts)
    for measure in shown:
        hidden = done.hidden_flags if measure in OF_THE_THRESHOLD else done.hidden.rates
        if not small_cells and one.group in hidden:
            yield "-"
        else:
            places = 2 if is_hidden else 3
            yield _written(one.of(measure), places)


def _written(figure: Measured | Figure | None, places: int = 3) -> str:
    if figure is None:
        return ""
    if figure.value is None:
        return figure.why_not.value if figure.why_not else ""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{places}f}"
    return f"{figure.value:.{places}f} ({figure.low:.{places}f} to {figure.high:.{places}f})"


def _at_equal_score(done: Done, small_cells: bool) -> Table:
    page = Table(title="Against others with the same score", title_justify="left")
    page.add_column("group", no_wrap=True)
    for name in (
        "outcome",
        "role",
        "n",
        "mean",
        "others' mean",
        "times theirs",
        "control",
        "over label",
        "reading",
    ):
        page.add_column(name)
    for one in done.compared:
        if one.among is Among.ALL and one.n:
            page.add_row(
                str(one.group), one.outcome, one.role.value, *_compared_cells(done, one, small_cells)
            )
    return page


def _compared_cells(done: Done, one: Compared, small_cells: bool) -> Iterator[str]:
    if not small_cells and done.hides(one):
        yield from ("-",) * 7
        return
    yield str(one.n)
    yield from (f"{mean:.4g}" for mean in (one.result.group_mean, one.result.rest_mean))
    yield _written(one.ratio)
    yield "" if one.control is None else f"{one.control:.3f}"
    yield _written(one.over_label)
    yield one.reading.value


def _sentences(done: Done, small_cells: bool) -> Iterator[str]:
    for one in done.mismatches:
        if small_cells or not done.hides(one):
            value = one.ratio.value or 0.0
            size = "" if one.reading is Reading.CONFIRMED else ", though its size is not settled"
            yield (
                f"label_mismatch: {one.group} has {value:.2f} times the {one.outcome} of others with the same"
                f" score, and {one.label} does not show as much of it{size}"
            )
    if done.compared and not done.has_need:
        yield "not checked against need: name what the score is used for with --further NAME=COLUMN:KIND:need"
    if any(one.reading is Reading.NOT_COMPARABLE for one in done.compared):
        yield (
            "not_comparable: run on the score itself the comparison must give 0.97 to 1.03;"
            " too few others have these scores"
        )
    has_hidden = done.hidden.counts or done.hidden_flags
    if has_hidden and not small_cells:
        yield f"-: {HIDDEN}; --small-cells shows it to those who may see it."

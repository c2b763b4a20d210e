"""The report of one service as one HTML file that loads nothing, as JSON, and as a folder of CSV tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cds_wrapper.monitoring.cells import Hidden
from cds_wrapper.monitoring.report.around import around
from cds_wrapper.monitoring.report.blocks import Page
from cds_wrapper.monitoring.report.figures import Shown
from cds_wrapper.monitoring.report.how_well import how_well
from cds_wrapper.monitoring.report.judgement import short_answer
from cds_wrapper.monitoring.report.known import Found, Known
from cds_wrapper.monitoring.report.planned import planned
from cds_wrapper.monitoring.report.reading import reading
from cds_wrapper.monitoring.report.verdicts import Judge, Judged
from cds_wrapper.monitoring.report.whom import whom
from cds_wrapper.monitoring.values import Measured

_TEMPLATES: Final = Environment(
    loader=PackageLoader("cds_wrapper.monitoring.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_BEGINS_FORMULA: Final = frozenset("=+-@\t\r\n|")
_FIGURE: Final = re.compile(r"-[\d.,]*( %| \(-?[\d.,]+ to -?[\d.,]+\))?")
SMALL_NUMBERS: Final = "small_numbers"
FIGURES: Final = (
    "attribute",
    "level",
    "exclusive",
    "answer",
    "because",
    "measure",
    "value",
    "low",
    "high",
    "interval_level",
    "n",
    "events",
    "patients",
    "design_effect",
    "method",
    "outcome",
    "first_day",
    "last_day",
    "not_given_because",
)


def shown_of(known: Known) -> Shown | None:
    """The groups with their answers and what of them may be shown; None while nothing is measured."""
    if known.figures is None:
        return None
    limits = known.service.plan.limits
    judge = Judge.of(known.figures, known.edition, known.found, limits)
    judged = tuple(judge.answer(one) for one in known.figures.groups)
    return Shown.of(judged, round(limits.small_cell))


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is made: what it was made of, what may be shown of it, and its page."""

    known: Known
    shown: Shown | None
    page: Page


def report_of(known: Known) -> Report:
    """Judge the groups, decide what may be shown of them, and write the page."""
    shown = shown_of(known)
    return Report(known, shown, _page(known, shown))


def page_of(known: Known) -> Page:
    """The report, section by section."""
    return report_of(known).page


def _page(known: Known, shown: Shown | None) -> Page:
    model = known.service.card
    return Page(
        title=known.service.title,
        subtitle=f"{model.name}, version {model.version}, by {model.developer}. As of {_day(known.as_of)}."
        + _known_on(known),
        synthetic=known.synthetic,
        sections=(
            short_answer(known, shown),
            whom(known),
            how_well(known, shown),
            reading(known, shown),
            planned(known),
            around(known),
        ),
    )


def _known_on(known: Known) -> str:
    """Of which day the outcomes are, where it is not the day of the report."""
    if known.known_on in (None, known.as_of):
        return ""
    return f" Outcomes as known on {_day(known.known_on)}."


def html_of(page: Page) -> str:
    """The page as one file: style and charts within, no script, nothing to load."""
    style = files("cds_wrapper.monitoring.report").joinpath("templates", "report.css").read_text("utf-8")
    template = _TEMPLATES.get_template("report.html")
    # Ours: a file beside the template, and what vl-convert drew, whose texts are escaped.
    return template.render(page=page, style=_as_it_is(style), drawn=_as_it_is)


def _as_it_is(text: str) -> Markup:
    return Markup(text)  # noqa: S704  no text of others comes here


def json_of(made: Report) -> dict[str, Any]:
    """The same for programs: answers, figures, findings and tables; no small number either."""
    known, figures = made.known, made.known.figures
    return {
        "service": known.service.id,
        "as_of": known.as_of.isoformat(),
        "model": {"id": known.service.card.id, "version": known.service.card.version},
        "outcome": {"name": known.service.outcome.name, "horizon": known.service.outcome.horizon},
        "threshold": figures.threshold if figures else known.service.threshold,
        "synthetic": known.synthetic,
        "edition": {
            "as_of": known.edition.as_of.isoformat(),
            "reviewed_on": known.reviewed_on.isoformat() if known.reviewed_on else None,
        },
        "findings": [_finding(one) for one in known.found],
        "figures": [dict(zip(FIGURES, row, strict=True)) for row in figure_rows(made.shown)],
        "tables": [
            {
                "name": one.name,
                "caption": one.caption,
                "columns": one.columns,
                "rows": one.rows,
                "note": one.note,
            }
            for one in made.page.tables()
        ],
    }


def _finding(one: Found) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "groups": dict(one.group.where),
        "exclusive": one.group.exclusive,
        "direction": one.direction.value if one.direction else None,
        "since": one.since.isoformat(),
        "what": one.what,
        "sure": one.sure,
        "on_cards": one.carded,
        "owner": one.owner,
        "due": one.due.isoformat() if one.due else None,
        "closed": one.closed.isoformat() if one.closed else None,
    }


def csv_of(made: Report) -> dict[str, str]:
    """Every table by its file's name, and `figures.csv` with every figure at full length."""
    found = {f"{one.name}.csv": _csv(one.columns, one.rows) for one in made.page.tables()}
    return {"figures.csv": _csv(FIGURES, figure_rows(made.shown)), **found}


def _csv(columns: tuple[str, ...], rows: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """No spreadsheet may take a text for a formula."""
    if not isinstance(value, str) or value[:1] not in _BEGINS_FORMULA:
        return value
    return value if value.startswith("-") and _FIGURE.fullmatch(value) else f"'{value}"


def figure_rows(shown: Shown | None) -> Iterator[tuple[Any, ...]]:
    """Every figure of every group, in the order of `FIGURES`."""
    if shown is None:
        return
    for one in shown.judged:
        for figure in one.figures.figures:
            yield _row(one, figure, shown.hidden_for(figure.measure))


def _row(one: Judged, figure: Measured, hidden: Hidden) -> tuple[Any, ...]:
    """A figure at full length; rounded to hundredths and without its counts where those are not shown."""
    group = figure.group
    first = (group.attribute, group.level, group.exclusive, one.verdict.value, one.because.value)
    last = (figure.method, figure.outcome, *(day.isoformat() for day in figure.period))
    numbers = (figure.value, figure.low, figure.high)
    counts: tuple[float | None, ...] = (figure.n, figure.events, figure.patients, figure.design_effect)
    why = figure.why_not.value if figure.why_not else None
    if group in hidden.counts:
        kept = group not in hidden.rates
        value, low, high = (round(n, 2) if kept and n is not None else None for n in numbers)
        numbers, counts, why = (value, low, high), (None,) * 4, SMALL_NUMBERS
    return (*first, figure.measure.value, *numbers, figure.level, *counts, *last, why)


def _day(day: date) -> str:
    return f"{day:%-d %B %Y}"

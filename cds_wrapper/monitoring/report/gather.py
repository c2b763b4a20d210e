"""Gathers what a report is made of: the exported rows counted and measured, and what reviews have found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from ibis import _

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.parquet import kept_still
from cds_wrapper.monitoring.attributes import monitored
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.by_group import (
    Table,
    counts_by_attribute,
    per_group,
    quarter_up_to,
    read,
    within,
)
from cds_wrapper.monitoring.cube import asked
from cds_wrapper.monitoring.drift import ScoreSums, missing_shares, representativeness, score_drift
from cds_wrapper.monitoring.equal_scores import Compared
from cds_wrapper.monitoring.feedback import feedback
from cds_wrapper.monitoring.formulas.time_to_find import TimeToFind
from cds_wrapper.monitoring.input_quality import input_ages, input_quality
from cds_wrapper.monitoring.looking import budget_of, times_of
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.past import Past, before_of
from cds_wrapper.monitoring.populations import external_populations, last_quarter, training_population
from cds_wrapper.monitoring.report.known import NO_REVIEWS, Activity, Known, Reviews
from cds_wrapper.monitoring.review import compared_of, question_of
from cds_wrapper.monitoring.score_bands import score_bands
from cds_wrapper.monitoring.service_equity import service_equity
from cds_wrapper.monitoring.strata import due_by_month, follow_up, strata
from cds_wrapper.monitoring.values import Group, ServiceFigures
from cds_wrapper.services import ServiceDefinition


def gather(
    service: ServiceDefinition,
    folder: Path,
    as_of: date,
    reviews: Reviews = NO_REVIEWS,
) -> Known:
    """What is known of a service on a day, from an exported folder (`predictions`, `episodes`).

    `reviews` up to that day say what was found, and what evidence is in force. No export changes the folder
    meanwhile; `LedgerUnavailable` when a file of it cannot be read.
    """
    with kept_still(folder), _readable(folder):
        return _gathered(service, folder, as_of, reviews)


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise LedgerUnavailable(f"{folder} cannot be read ({type(error).__name__}).") from None


def _gathered(service: ServiceDefinition, folder: Path, as_of: date, reviews: Reviews) -> Known:
    predictions, episodes = read(folder, "predictions", service.id), read(folder, "episodes", service.id)
    figures, compared = (None, ()) if episodes is None else figures_of(service, folder, as_of)
    return Known(
        service=service,
        as_of=as_of,
        edition=service.edition_with(reviews.past.local).contents,
        figures=figures,
        activity=replace(activity_of(service, predictions, episodes, as_of), compared=compared),
        found=reviews.found,
        times=_times(service, figures, reviews.past) if figures else {},
        reviewed_on=reviews.past.reviewed_on,
        synthetic=is_synthetic(episodes if episodes is not None else predictions),
        known_on=None if episodes is None else known_on(episodes),
    )


def known_on(episodes: Table) -> date | None:
    """The day for which the states of the episodes were last brought up to date."""
    day: date | None = episodes.as_of.cast("date").max().to_pyarrow().as_py()
    return day


def _times(
    service: ServiceDefinition, figures: ServiceFigures, past: Past
) -> dict[Group, tuple[TimeToFind, ...]]:
    """As the review of this day tells them: of the same budget, and what is in force."""
    return times_of(figures, budget_of(figures, service.plan.monitoring), before_of(service, figures, past))


def is_synthetic(table: Table | None) -> bool:
    """Whether no row is of production: then no real patient is behind any of them."""
    if table is None:
        return False
    environments = table.select("environment").distinct().to_pyarrow().column("environment").to_pylist()
    return bool(environments) and "production" not in environments


def figures_of(
    service: ServiceDefinition, folder: Path, as_of: date
) -> tuple[ServiceFigures, tuple[Compared, ...]]:
    """Every figure by group of the version the card is about, and each outcome at equal score."""
    question, wanted, there = question_of(service, as_of), monitored(service), f"service_id={service.id}"
    further = folder / "episode_outcomes" / there
    has_further = next(further.rglob("*.parquet"), None) is not None
    with parquet_source(folder / "episodes" / there, further if has_further else None) as source:
        figures = measure(source, wanted, question)
        return figures, compared_of(source, service, wanted, question)


def activity_of(
    service: ServiceDefinition, predictions: Table | None, episodes: Table | None, as_of: date
) -> Activity:
    """What the rows of the last quarter say beside performance, and of all days about outcomes."""
    wanted = monitored(service)
    attributes = (*wanted.attributes, *("*".join(parts) for parts in wanted.crossings))
    quarter = quarter_up_to(as_of)
    parts: dict[str, Any] = {}
    if predictions is not None:
        recent = within(predictions, quarter)
        parts["inputs"] = input_quality(recent, attributes)
        parts["ages"] = input_ages(recent, attributes)
        parts["equity"] = service_equity(recent, attributes)
    if episodes is not None:
        now, before = within(episodes, quarter), within(episodes, quarter.before)
        parts |= _who(service, now, before, wanted.attributes)
        parts["score_drift"] = score_drift(_scores(now, attributes), _scores(before, attributes))
        parts["feedback"] = feedback(now, attributes)
        about = asked(episodes, question_of(service, as_of))
        parts["strata"] = strata(about, attributes)
        parts["follow_up"] = follow_up(about, attributes)
        parts["due"] = due_by_month(about)
        parts["bands"] = score_bands(about, attributes, service.threshold)
    return Activity(**parts)


def _who(
    service: ServiceDefinition, now: Table, before: Table, attributes: Sequence[str]
) -> Mapping[str, Any]:
    here, earlier = (
        counts_by_attribute(per_group(table, attributes, {"n": _.count()})) for table in (now, before)
    )
    populations = [training_population(service.card), *external_populations(service.card)]
    populations += [last_quarter(earlier)] if earlier else []
    compared = [one for population in populations for one in representativeness(here, population)]
    return {"representativeness": tuple(compared), "missing": missing_shares(here, earlier)}


def _scores(episodes: Table, attributes: Sequence[str]) -> dict[Group, ScoreSums]:
    figures = {
        "n": _.count(),
        "total": _.score.sum(),
        "squares": (_.score * _.score).sum(),
        "flagged": _.flagged.sum(),
    }
    return {
        group: ScoreSums(**{name: row[name] for name in figures})
        for group, row in per_group(episodes, attributes, figures)
        if row["n"]
    }

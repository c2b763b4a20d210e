"""A review: bring episodes up to date, measure, look, find, compare with the plan, publish, notify.

It is run daily, by a scheduler. Everything that is decided here is decided by pure rules in `looking`,
`findings` and `grading`; this module reads and writes. What it writes is one transaction of the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
from ibis import _

from cds_wrapper.ledger.edition_values import NewEdition, NewReview, StoredFinding, Subject
from cds_wrapper.ledger.editions import record_review
from cds_wrapper.ledger.episode_store import make_episodes
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.parquet import export_rows, export_snapshot
from cds_wrapper.monitoring.attributes import MonitoredAttributes, monitored
from cds_wrapper.monitoring.backends import Source, parquet_source
from cds_wrapper.monitoring.by_group import counts_by_attribute, per_group, quarter_up_to, within
from cds_wrapper.monitoring.cube import PROBABILITY, Question
from cds_wrapper.monitoring.daily_findings import of_daily
from cds_wrapper.monitoring.drift import missing_shares
from cds_wrapper.monitoring.equal_scores import Compared, equal_scores
from cds_wrapper.monitoring.findings import (
    FindingKey,
    Observed,
    Shares,
    is_dated,
    is_exclusive,
    may_miss_more,
    news,
    of_follow_up,
    of_missing,
    of_sensitivity,
    of_too_good,
    plan_says,
    where_of,
    without_doubles,
)
from cds_wrapper.monitoring.grading import changes_cards, evidence_of
from cds_wrapper.monitoring.group_figures import deciding
from cds_wrapper.monitoring.looking import Looked, budget_of, look
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.past import Past, answered, before_of, past_of
from cds_wrapper.monitoring.reviewed import Reviewed, document
from cds_wrapper.monitoring.unequal import of_equal_score
from cds_wrapper.monitoring.values import EVERYBODY, Group, ServiceFigures
from cds_wrapper.services.definitions import ServiceDefinition, kept_edition

QUARTER: Final = timedelta(days=91)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a review reads and writes: the ledger, and the folder of what is exported from it.

    A review on `trial` makes its episodes in that folder, which holds a copy of the outcomes and goes
    afterwards: nothing else is written.
    """

    ledger: Path
    folder: Path
    trial: Path | None = None

    @property
    def outcomes(self) -> Path:
        """The file of outcomes and episodes."""
        return beside(self.ledger) if self.trial is None else self.trial / "outcomes.db"

    @property
    def exported(self) -> Path:
        """Where episodes are written as Parquet."""
        return self.trial or self.folder


def review(
    place: Place, service: ServiceDefinition, as_of: date, told: Callable[[str], None] = lambda _: None
) -> Reviewed:
    """Look at one service as of a day; nothing is recorded or published yet.

    Episodes and what is exported for analysts are brought up to date, on trial only what is looked at.
    `LedgerUnavailable` when ledger or outcomes cannot be read.
    """
    told("episodes")
    made = make_episodes(place.ledger, place.outcomes, service, as_of)
    for dataset in ("predictions", "corrections", "feedback") if place.trial is None else ():
        export_rows(place.ledger, place.folder, dataset)
    folders = []
    for dataset in ("episodes", "episode_outcomes"):
        export_snapshot(place.outcomes, place.exported, dataset, service.id)
        folders.append(place.exported / dataset / f"service_id={service.id}")
    past = past_of(place.ledger, service)
    with parquet_source(*folders) as source:
        return looked_at(source, service, as_of, past, made, told)


def looked_at(
    source: Source,
    service: ServiceDefinition,
    as_of: date,
    past: Past,
    made: int,
    told: Callable[[str], None],
) -> Reviewed:
    attributes, question = monitored(service), question_of(service, as_of)
    told("figures")
    figures = measure(source, attributes, question)
    plan = service.plan
    budget = budget_of(figures, plan.monitoring)
    looked = look(figures, budget, before_of(service, figures, past))
    observed = [*of_daily(looked, figures, plan.limits), *of_too_good(figures, plan.monitoring)]
    last_dated = past.dated[1] if past.dated else None
    dated = None
    if is_dated(last_dated, as_of, plan.monitoring.review_every):
        dated = past.dated[0] + 1 if past.dated else 1
        told("dated review")
        observed += _dated(source, service, attributes, question, figures, budget.review(dated))
    told("follow-up")
    observed += _of_rows(source, service, attributes, as_of)
    return _settled(service, figures, looked, dated, without_doubles(observed), past, made)


def question_of(service: ServiceDefinition, as_of: date) -> Question:
    """What is asked about a service: the version its card is about, its outcome and first threshold."""
    return Question(
        service_id=service.id,
        model_id=service.card.id,
        model_version=service.card.version,
        outcome=service.outcome.name,
        as_of=as_of,
        threshold=service.threshold,
        score_kind=service.vendor.score.kind.value if service.vendor.score else PROBABILITY,
        index=service.episodes.index,
    )


def compared_of(
    source: Source,
    service: ServiceDefinition,
    attributes: MonitoredAttributes,
    question: Question,
    level: float = 0.95,
) -> tuple[Compared, ...]:
    """Every group against others with the same score, for each declared outcome, within the plan's limits."""
    outcomes = (service.outcome, *service.further_outcomes)
    return equal_scores(source, attributes, question, outcomes, level, service.plan.limits.material)


def _dated(
    source: Source,
    service: ServiceDefinition,
    attributes: MonitoredAttributes,
    question: Question,
    figures: ServiceFigures,
    error: float,
) -> list[Observed]:
    """What is tested in dated reviews alone, at the error this one may spend."""
    plan, found = service.plan.monitoring, list[Observed]()
    if may_miss_more(figures, plan):
        at_its_level = measure(source, attributes, replace(question, level=1 - error), deciding)
        found += of_sensitivity(at_its_level, plan)
    compared = compared_of(source, service, attributes, question, 1 - error)
    return [*found, *of_equal_score(compared, figures)]


def _settled(
    service: ServiceDefinition,
    figures: ServiceFigures,
    looked: tuple[Looked, ...],
    dated: int | None,
    observed: Sequence[Observed],
    past: Past,
    made: int,
) -> Reviewed:
    """What is new among what was found, the evidence that follows, and whether it makes a new edition."""
    standing = [one for one in past.findings if one.is_open]
    subject = Subject(service.id, figures.model_id, figures.model_version)
    closed = answered(past.findings, figures.as_of, service.plan.monitoring.review_every)
    fresh = news(observed, {_key(one) for one in (*standing, *closed)})
    opened = tuple(
        _stored(one, f"here-{past.every_finding + number}", subject, service, figures.as_of)
        for number, one in enumerate(fresh, start=1)
    )
    standing += opened
    in_force = service.edition_with(past.local)
    outside = {one.id: one.estimate_ids for one in in_force.findings if not one.is_local}
    local = evidence_of(figures, service, standing, past.local, outside)
    edition = service.edition_with(local) if changes_cards(local, past.local) else None
    return Reviewed(
        service=service,
        figures=figures,
        looked=looked,
        dated=dated,
        opened=opened,
        standing=tuple(standing),
        local=local,
        before=in_force,
        edition=edition,
        episodes=made,
    )


def _stored(
    one: Observed, name: str, subject: Subject, service: ServiceDefinition, as_of: date
) -> StoredFinding:
    told = {
        "what": one.what,
        "sure": one.sure,
        "plan": plan_says(one.kind, as_of, service.plan),
        "due": (as_of + service.plan.monitoring.act_within).isoformat(),
    }
    return StoredFinding(
        finding_id=name,
        subject=subject,
        outcome=one.outcome,
        kind=one.kind.value,
        groups=where_of(one.group),
        exclusive=is_exclusive(one.group),
        direction=one.direction.value if one.direction else None,
        since=one.since,
        detail={**one.detail, **told, "label_mismatch": one.label_mismatch},
    )


def _key(one: StoredFinding) -> FindingKey:
    return one.kind, one.key, one.outcome, one.direction


# Rows without figures ---------------------------------------------------------------------------------------


def _of_rows(
    source: Source, service: ServiceDefinition, attributes: MonitoredAttributes, as_of: date
) -> list[Observed]:
    """Outcomes that stopped coming, by site too, and values that go missing."""
    plan, outcome = service.plan.monitoring, service.outcome.name
    return [
        *of_follow_up(_known(source, plan.outcomes_within, as_of), outcome, plan, as_of),
        *of_missing(_missing(source, attributes, as_of), outcome, plan, as_of),
    ]


def _known(source: Source, grace: timedelta, as_of: date) -> list[Shares]:
    """Known of those due in the last quarter whose outcomes should be here, and in the one before."""
    episodes = source.episodes
    due = episodes.due_on.cast("date")
    last = as_of - grace
    found = episodes.filter(due <= last, due > last - 2 * QUARTER).mutate(is_now=due > last - QUARTER)
    counted = (
        found.group_by("site", "is_now")
        .agg(due=_.count(), known=_.state.isin(("event", "no_event")).sum())
        .to_pyarrow()
        .to_pylist()
    )
    sites: dict[Group, dict[bool, tuple[int, int]]] = {}
    for row in counted:
        for group in (EVERYBODY, Group((("site", row["site"] or "not named"),))):
            known, total = sites.setdefault(group, {}).get(row["is_now"], (0, 0))
            sites[group][row["is_now"]] = (known + row["known"], total + row["due"])
    if len(sites) == 2:  # one site is everybody
        sites = {EVERYBODY: sites[EVERYBODY]}
    return [Shares(group, *one.get(True, (0, 0)), *one.get(False, (0, 0))) for group, one in sites.items()]


def _missing(source: Source, attributes: MonitoredAttributes, as_of: date) -> list[Shares]:
    quarter = quarter_up_to(as_of)
    now, before = (
        counts_by_attribute(per_group(within(source.episodes, one), attributes.attributes, {"n": _.count()}))
        for one in (quarter, quarter.before)
    )
    totals = {name: sum(levels.values()) for name, levels in before.items()}
    return [
        Shares(
            Group(((one.attribute, "missing"),)),
            one.missing,
            one.total,
            round(one.before * totals[one.attribute]),
            totals[one.attribute],
        )
        for one in missing_shares(now, before)
        if one.before is not None
    ]


# Writing ----------------------------------------------------------------------------------------------------


def publish(place: Place, done: Reviewed, new_id: Callable[[], str]) -> None:
    """Record a review, what it opens and the edition it publishes. `LedgerUnavailable` when it cannot be."""
    figures, review_id = done.figures, new_id()
    subject = Subject(done.service.id, figures.model_id, figures.model_version)
    record = NewReview(review_id, subject, figures.as_of, msgspec.json.encode(document(done)), done.dated)
    edition = None
    if done.edition is not None:
        book = done.edition
        edition = NewEdition(new_id(), book.edition, kept_edition(book), done.local.to_json())
    opened = [replace(one, review_id=review_id) for one in done.opened]
    record_review(place.ledger, record, opened, edition)

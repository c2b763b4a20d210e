"""A made-up hospital: figures by group as monitoring hands them over, with everything a report has to say.

One crossing falls short, one group is too small to judge, one has small numbers, race is missing for some.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np

from cds_wrapper.caveats.contents import BookContents
from cds_wrapper.caveats.evidence import Direction
from cds_wrapper.ledger.edition_values import StoredFinding, Subject
from cds_wrapper.monitoring.drift import ScoreSums, missing_shares, representativeness, score_drift
from cds_wrapper.monitoring.equal_scores import Among, Compared, Standing
from cds_wrapper.monitoring.feedback import Feedback
from cds_wrapper.monitoring.findings import FindingKind, is_exclusive, where_of
from cds_wrapper.monitoring.formulas.budget import Share
from cds_wrapper.monitoring.formulas.equal_score import EqualScore
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.oe_ratio import oe_ratio, ratio_to_rest
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference, wilson
from cds_wrapper.monitoring.formulas.time_to_find import TimeToFind, times_to_find
from cds_wrapper.monitoring.grading import evidence_of
from cds_wrapper.monitoring.input_quality import InputAge, InputQuality
from cds_wrapper.monitoring.populations import last_quarter, training_population
from cds_wrapper.monitoring.report.known import Activity, Found, Known
from cds_wrapper.monitoring.score_bands import ScoreBand
from cds_wrapper.monitoring.service_equity import ServiceEquity
from cds_wrapper.monitoring.strata import DueInMonth, FollowUp, Stratum
from cds_wrapper.monitoring.values import (
    EVERYBODY,
    DailySums,
    Group,
    GroupFigures,
    Measure,
    Measured,
    ServiceFigures,
    WhyNot,
)
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.services.outcomes import OutcomeKind, Role

HOOKS = Path(__file__).resolve().parents[4] / "hooks"
AS_OF = date(2026, 10, 31)
PERIOD = (date(2025, 10, 1), date(2026, 9, 30))

# Episodes, events and O/E of each group: those of an attribute add up to everybody.
PEOPLE: dict[str, dict[str, tuple[int, int, float]]] = {
    "age_band": {
        "<20": (0, 0, 1.0),
        "20-39": (2400, 300, 1.22),
        "40-59": (6600, 720, 1.02),
        "60-79": (10900, 1210, 1.0),
        "80+": (4100, 520, 0.97),
    },
    "sex": {"female": (12700, 1430, 1.02), "male": (11260, 1314, 1.04), "other": (40, 6, 1.1)},
    "race": {
        "white": (15200, 1700, 0.99),
        "black": (5400, 690, 1.16),
        "asian": (1200, 120, 1.0),
        "aian": (130, 15, 1.05),
        "nhpi": (0, 0, 1.0),
        "other": (450, 45, 0.95),
        "multiple": (60, 9, 1.2),
        "missing:absent": (1160, 131, 1.01),
        "missing:declined": (400, 40, 0.98),
    },
    "race*age_band": {
        "black*20-39": (700, 120, 1.85),
        "black*40-59": (1500, 170, 1.05),
        "black*60-79": (2400, 290, 1.07),
        "black*80+": (800, 110, 1.02),
        "white*20-39": (1300, 140, 1.0),
        "white*40-59": (4100, 440, 0.99),
        "white*60-79": (6900, 770, 0.99),
        "white*80+": (2900, 350, 0.97),
    },
}
SHORT = Group((("race", "black"), ("age_band", "20-39")))


@lru_cache
def service() -> ServiceDefinition:
    return load_services(HOOKS).of("readmission")[0]


def group_of(attribute: str, level: str) -> Group:
    return Group(tuple(zip(attribute.split("*"), level.split("*"), strict=True)))


def split(total: int, parts: dict[Group, int]) -> dict[Group, int]:
    """A total over groups in proportion, adding up."""
    whole = sum(parts.values())
    found = {group: total * n // whole for group, n in parts.items()}
    largest = max(parts, key=lambda group: parts[group])
    return {**found, largest: found[largest] + total - sum(found.values())}


@lru_cache
def parts_of(total: int, which: int) -> dict[Group, int]:
    """Everybody's total over every attribute, by episodes (0) or events (1); a race's over its ages."""
    found: dict[Group, int] = {EVERYBODY: total}
    for attribute, levels in PEOPLE.items():
        counts = {group_of(attribute, level): int(of[which]) for level, of in levels.items()}
        if "*" in attribute:
            for race in (Group((("race", "black"),)), Group((("race", "white"),))):
                own = {group: n for group, n in counts.items() if group.where[0] == race.where[0]}
                found |= split(found[race], own)
        else:
            found |= split(total, counts)
    return found


def group_figures(group: Group, n: int, events: int, ratio: float) -> GroupFigures:
    """Everything measured about one group, by the formulas that monitoring uses."""
    everybody_events, everybody_n = 2750, 24000
    expected = events / ratio if events else n * 0.11
    oe = oe_ratio(events, expected, expected * 0.16) if n else None
    alone = replace(group, exclusive=True)
    flagged, hits = parts_of(3600, 0)[alone], parts_of(770, 1)[alone]
    numbers: list[Measured] = [
        _share(Measure.EVENT_RATE, group, events, n, n, events),
        _share(Measure.FLAG_RATE, group, flagged, n, n, events),
        _share(Measure.SENSITIVITY, group, hits, events, events, events),
        _share(Measure.PPV, group, hits, flagged, flagged, hits),
        _measured(Measure.OE_RATIO, group, n, events, (oe.value, oe.low, oe.high) if oe else None),
        _measured(
            Measure.OE_FLAGGED, group, flagged, hits, (0.93 * ratio, 0.8 * ratio, 1.1 * ratio) if oe else None
        ),
    ]
    if n > 500:
        half = 1.2 / math.sqrt(events)
        numbers.append(_measured(Measure.AUROC, group, n, events, (0.645, 0.645 - half, 0.645 + half)))
    if n and group != EVERYBODY and events and n < everybody_n:
        rest, rest_n = everybody_events - events, round(0.28 * (everybody_events - events))
        low, high = newcombe_difference(hits, events, rest_n, rest)
        gap = hits / events - rest_n / rest
        numbers.append(_measured(Measure.SENSITIVITY_GAP, group, n, events, (gap, low, high)))
        area = 1.4 / math.sqrt(events)
        numbers.append(_measured(Measure.AUROC_GAP, group, n, events, (0.0, -area, area)))
        against = ratio_to_rest(events, expected, rest, rest / 1.01)
        values = (against.value, against.low, against.high)
        numbers.append(_measured(Measure.OE_RATIO_TO_REST, group, n, events, values))
    counts = {
        "event": events,
        "no_event": n - events,
        "pending": n // 10,
        "censored": 0,
        "unverified": n // 10,
    }
    return GroupFigures(group, tuple(numbers), daily(expected, n), counts, 1.1)


def _share(measure: Measure, group: Group, part: int, whole: int, n: int, events: int) -> Measured:
    values = (part / whole, *wilson(part, whole)) if whole else None
    return _measured(measure, group, n, events, values)


def _measured(
    measure: Measure,
    group: Group,
    n: int,
    events: int,
    values: tuple[float | None, float | None, float | None] | None,
) -> Measured:
    value, low, high = values or (None, None, None)
    return Measured(
        measure,
        group,
        value,
        low,
        high,
        n=n,
        events=events,
        patients=round(0.9 * n),
        method="made up",
        period=PERIOD,
        outcome="readmission",
        why_not=None if values else WhyNot.NO_ROWS,
    )


def daily(expected: float, n: int) -> DailySums:
    days = tuple(PERIOD[0] + timedelta(days=day) for day in range(365))
    own, rest = expected / 365, max(0.0, 2700 - expected) / 365
    return DailySums(days, (own,) * 365, (own,) * 365, (rest,) * 365, (rest,) * 365)


def figures() -> ServiceFigures:
    groups = [group_figures(EVERYBODY, 24000, 2750, 1.02)]
    for attribute, levels in PEOPLE.items():
        groups += [group_figures(group_of(attribute, level), *of) for level, of in levels.items()]
    alone_or_not = replace(group_of("race", "black"), exclusive=False)
    groups.append(group_figures(alone_or_not, 5450, 697, 1.16))
    return ServiceFigures(
        "readmission", "readmission-diabetes", "2026.1", "readmission", 0.15, AS_OF, tuple(groups)
    )


def activity() -> Activity:
    """A quarter of the year above, with a service that leaves one group without a score more often."""
    single = [name for name in PEOPLE if "*" not in name]
    now = {name: {level: of[0] // 4 for level, of in PEOPLE[name].items()} for name in single}
    before = {name: {level: round(n * 0.9) for level, n in levels.items()} for name, levels in now.items()}
    before["race"]["missing:absent"] //= 2
    now["language"] = {"en": 5400, "es": 600}
    return Activity(
        representativeness=(
            *representativeness(now, training_population(service().card)),
            *representativeness(now, last_quarter(before)),
        ),
        missing=missing_shares(now, before),
        score_drift=score_drift(_scores(1.0), _scores(0.9)),
        inputs=tuple(_inputs(group, n) for group, n in _groups()),
        ages=(InputAge(EVERYBODY, "length of stay", 6000, timedelta(hours=5), timedelta(days=4)),),
        equity=tuple(_equity(group, n) for group, n in _groups()),
        feedback=tuple(_feedback(group, n) for group, n in _groups()),
        strata=tuple(_strata()),
        due=tuple(_due()),
        bands=tuple(_bands()),
        compared=tuple(_compared()),
        follow_up=tuple(_follow_up(group, flagged, n) for group, n in _groups() for flagged in (True, False)),
    )


def _follow_up(group: Group, flagged: bool, n: int) -> FollowUp:
    known, unverified = round(0.93 * n), round(0.05 * n)
    return FollowUp(
        group, flagged, n, known, unverified, n - known - unverified, known // (5 if flagged else 20)
    )


def _groups() -> list[tuple[Group, int]]:
    found = [(EVERYBODY, 6000)]
    for attribute in ("sex", "race"):
        found += [
            (group_of(attribute, level), of[0] // 4) for level, of in PEOPLE[attribute].items() if of[0]
        ]
    return found


def _scores(factor: float) -> dict[Group, ScoreSums]:
    sums = {}
    for group, n in _groups():
        mean = 0.11 * (factor if group.level == "black" else 1.0)
        sums[group] = ScoreSums(n, mean * n, (mean**2 + 0.003) * n, round(0.15 * n * factor))
    return sums


def _inputs(group: Group, n: int) -> InputQuality:
    return InputQuality(group, n, round(n * (0.24 if group.level == "black" else 0.1)), round(n * 0.02))


def _equity(group: Group, n: int) -> ServiceEquity:
    late = round(n * (0.12 if group.level == "missing:absent" else 0.01))
    return ServiceEquity(group, n, n - late - 2 * (n // 100), late, n // 100, 0, 42.0, 180.0)


def _feedback(group: Group, n: int) -> Feedback:
    shown, told = n, n // 3
    overridden = round(told * (0.35 if group.level == "black" else 0.2))
    return Feedback(group, shown, told, overridden, overridden // 4)


def _due() -> list[DueInMonth]:
    """Three months of two sites; in the last one a site's outcomes have stopped coming."""
    return [
        DueInMonth(site, date(2026, month, 1), 900, 450 if (site, month) == ("north", 9) else 890, 0)
        for month in (7, 8, 9)
        for site in ("north", "south")
    ]


def _bands() -> list[ScoreBand]:
    """Three bands of the score in every single group, in one of which scores are too low."""
    found = []
    for group, n in _groups():
        for low, high, part, mean in ((0.05, 0.1, 0.5, 0.08), (0.1, 0.15, 0.3, 0.12), (0.15, 1.0, 0.2, 0.22)):
            there = round(part * n)
            events = round(mean * there * (1.4 if group.level == "black" else 1.0))
            found.append(ScoreBand(group, low, high, there, events, mean * there))
    return found


def _compared() -> list[Compared]:
    """The label is alike for all; a count of illness, no label of the score, is higher in one group."""
    rows = []
    for group, n in _groups()[1:]:
        is_sicker = group.level == "black"
        label = EqualScore(Figure.of(1.02, (0.9, 1.15)), 0.06, 0.11 * n, 0.108 * n, 0.11, 0.108)
        need = EqualScore(Figure.of(1.5, (1.4, 1.6)), 0.05, 3.0 * n, 2.0 * n, 3.0, 2.0)
        for name, role, kind, result, mismatch in (
            ("readmission", Role.LABEL, OutcomeKind.BINARY, label, False),
            ("illness", Role.NEED, OutcomeKind.COUNT, need if is_sicker else label, is_sicker),
        ):
            rows.append(
                Compared(
                    group=group,
                    outcome=name,
                    role=role,
                    kind=kind,
                    among=Among.ALL,
                    n=n,
                    patients=n,
                    result=result,
                    control=1.0,
                    over_label=Figure.of(1.47, (1.3, 1.65)) if mismatch else None,
                    label="readmission" if mismatch else None,
                    costs=None,
                    standing=Standing.SCORES_TOO_LOW if mismatch else Standing.NO_FINDING,
                    label_mismatch=mismatch,
                )
            )
    return rows


def _strata() -> list[Stratum]:
    return [
        Stratum(EVERYBODY, True, True, "accepted", 1800, 310, 390.0, 90.0),
        Stratum(EVERYBODY, True, True, "overridden", 600, 130, 128.0, 30.0),
        Stratum(EVERYBODY, False, True, "none", 20400, 2000, 1980.0, 250.0),
        Stratum(EVERYBODY, False, True, "overridden", 8, 1, 1.0, 0.2),
    ]


def times() -> dict[Group, tuple[TimeToFind, ...]]:
    share = Share(0.025 / 30)
    found = {}
    for one in figures().groups[1:]:
        sums = one.daily
        group, rest = np.asarray(sums.group_expected), np.asarray(sums.rest_expected)
        if one.group.exclusive and group.sum() > 0:
            found[one.group] = times_to_find(group, rest, share)
    return found


def found() -> tuple[Found, ...]:
    return (
        Found(
            id="F1",
            kind=FindingKind.GROUP_DRIFT,
            group=SHORT,
            what="Its scores are too low for this group.",
            direction=Direction.SCORES_TOO_LOW,
            since=date(2026, 5, 4),
            sure="Found by the daily look, whose chance of any false alarm in the model's life is 1 in 40.",
            plan="Cards for such patients say so; the clinical owner is told.",
            owner="clinical_owner",
            due=date(2026, 10, 15),
        ),
        Found(
            id="F2",
            kind=FindingKind.THRESHOLD_EFFECT,
            group=Group((("age_band", "20-39"),)),
            what="Fewer cases are found beforehand, at equal risk.",
            direction=None,
            since=date(2026, 9, 30),
            sure="Seen in the review of the third quarter.",
            plan="The threshold is looked at in the next review.",
            owner="model_steward",
            due=date(2026, 12, 15),
        ),
    )


def edition(of: ServiceFigures, *found: Found, month: int = 2) -> BookContents:
    """What a monthly review publishes of these figures and findings; good results count in the second."""
    stored = [_stored(one) for one in found]
    before = None
    if month > 1:
        before = evidence_of(replace(of, as_of=of.as_of - timedelta(days=35)), service(), (), None, {})
    return service().edition_with(evidence_of(of, service(), stored, before, {})).contents


def _stored(one: Found) -> StoredFinding:
    return StoredFinding(
        finding_id=one.id,
        subject=Subject("readmission", "readmission-diabetes", "2026.1"),
        outcome="readmission",
        kind=one.kind.value,
        groups=where_of(one.group),
        exclusive=is_exclusive(one.group),
        direction=one.direction.value if one.direction else None,
        since=one.since,
        detail={},
        closed_at=datetime.combine(one.closed, time(), UTC) if one.closed else None,
    )


@lru_cache
def known() -> Known:
    return Known(
        service=service(),
        as_of=AS_OF,
        edition=edition(figures(), *found()),
        figures=figures(),
        activity=activity(),
        found=found(),
        times=times(),
        reviewed_on=date(2026, 10, 31),
        synthetic=True,
    )

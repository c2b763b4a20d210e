"""Does the same score mean the same for every group, for each declared outcome? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cds_wrapper.monitoring.cells import Hidden, hidden_rows
from cds_wrapper.monitoring.equal_scores import Among, Compared, Reading, Standing
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN, Block, Heading, Table, Words
from cds_wrapper.monitoring.report.figures import about
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import WHY_NOT, capital, group_words, listed
from cds_wrapper.monitoring.report.shares import is_beside
from cds_wrapper.monitoring.review import question_of
from cds_wrapper.monitoring.suppression import is_small
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role

_SAYS: Final[Mapping[Reading, str]] = {
    Reading.CONFIRMED: "{way} than others",
    Reading.OF_OPEN_SIZE: "{way} than others, perhaps too little to matter",
    Reading.RULED_OUT: "about the same",
    Reading.UNDETERMINED: "left open by chance",
    Reading.NOT_COMPARABLE: "cannot be compared: scores differ within the bands",
}
_ROLES: Final[Mapping[Role, str]] = {
    Role.LABEL: "what the score was made to predict",
    Role.NEED: "what it is used for",
}


def same_score(known: Known) -> Iterator[Block]:
    """One table for each outcome, or why there is none; whether the score was ever held against the need."""
    yield Heading("Does the same score mean the same for every group?")
    yield Words(
        "A tool can find as many cases in two groups and still take one of them for healthier than it is. So"
        " each group is held against the other patients with the same score."
    )
    if not question_of(known.service, known.as_of).is_probability:
        yield Words(
            "This score is no probability, so what came cannot be held against what was predicted. Whether"
            " equal scores mean the same is seen without that."
        )
    declared = (known.service.outcome, *known.service.further_outcomes)
    if not known.activity.compared:
        yield Words("Not known: no detail of patients is looked at, so there are no groups here.", "notice")
        return
    for outcome in declared:
        rows = [one for one in known.activity.compared if one.outcome == outcome.name]
        if any(one.n for one in rows):
            yield from _outcome(outcome, rows, known)
        else:
            named = f"“{outcome.phrase or outcome.name}”, {_ROLES[outcome.role]}"
            yield Words(f"Not compared: of nobody is it known yet whether there was {named}.", "notice")
    if not any(one.role is Role.NEED for one in declared):
        yield Words(
            "Not checked against need: no outcome is declared that says what the tool is used for beside what"
            " it was made to predict. A score can be right about the one and wrong about the other, and that"
            " would not be seen here.",
            "notice",
        )


def _outcome(outcome: Outcome, rows: Sequence[Compared], known: Known) -> Iterator[Block]:
    hidden = _all_hidden(rows)
    differ = [one for one in rows if one.among is Among.ALL and one.label_mismatch]
    mismatch = [one for one in differ if one.group not in hidden[Among.ALL].rates]
    if mismatch:
        names = listed([group_words(one.group, known.service.scheme) for one in mismatch])
        yield Words(
            f"Label mismatch: for {names} the score is right about what it was made to predict, and not about"
            f" “{outcome.phrase or outcome.name}”, what it is used for.",
            "notice",
        )
    yield Table(
        name=f"same-score-{outcome.name.replace('_', '-')}",
        caption=f"At the same score: {outcome.phrase or outcome.name}, {_ROLES[outcome.role]}",
        columns=(
            "Group",
            "In words",
            "Times (95 % range)",
            *_means(outcome),
            "Outcomes known, to tens",
            "Scores",
        ),
        rows=tuple(_row(one, outcome, hidden[one.among], known) for one in rows),
        note="Where one group has less, the others have more beside it: whose scores err stands under"
        " question 4. Reviews test this at a stricter level than 95 %, since they look again and again.",
        quiet=tuple(not _is_told(one, known) for one in rows),
    )


def _is_told(one: Compared, known: Known) -> bool:
    """On the page: whatever is found, and all groups of core attributes."""
    if one.among is not Among.ALL or not one.n:
        return False
    is_found = one.standing in {Standing.SCORES_TOO_LOW, Standing.SCORES_TOO_HIGH} or one.shows_mismatch
    return is_found or not is_beside(one.group, known)


def _means(outcome: Outcome) -> tuple[str, str]:
    unit = {OutcomeKind.BINARY: ", of 100", OutcomeKind.COUNT: ", each", OutcomeKind.COST: ", each"}
    return f"Here{unit[outcome.kind]}", f"Others with the same score{unit[outcome.kind]}"


def _all_hidden(rows: Sequence[Compared]) -> Mapping[Among, Hidden]:
    """A group's two sides of the threshold add up to all of it: both are shown or neither."""
    each = {among: _hidden([one for one in rows if one.among is among]) for among in Among}
    sides = each[Among.FLAGGED] | each[Among.UNFLAGGED]
    return {Among.ALL: each[Among.ALL], Among.FLAGGED: sides, Among.UNFLAGGED: sides}


def _hidden(rows: Sequence[Compared]) -> Hidden:
    """Of events, those and the others; of counts, how many; of these and amounts, the people they are of."""
    few = frozenset(
        one.group for one in rows if one.kind is OutcomeKind.COUNT and is_small(round(one.result.observed))
    )
    return Hidden(few, few) | hidden_rows(
        {
            one.group: (
                {"event": round(one.result.observed), "no_event": one.n - round(one.result.observed)}
                if one.kind is OutcomeKind.BINARY
                else {"people": one.n}
            )
            for one in rows
        }
    )


_AMONG: Final[Mapping[Among, str]] = {
    Among.ALL: "all",
    Among.FLAGGED: "flagged",
    Among.UNFLAGGED: "not flagged",
}


def _row(one: Compared, outcome: Outcome, hidden: Hidden, known: Known) -> tuple[str, ...]:
    name = capital(group_words(one.group, known.service.scheme))
    among = _AMONG[one.among]
    if one.group in hidden.rates:
        return (name, *(NOT_SHOWN,) * 6)
    count = NOT_SHOWN if one.group in hidden.counts else about(one.n)
    ratio = one.ratio
    if ratio.value is None:
        return name, WHY_NOT[ratio.why_not] if ratio.why_not else "-", "-", "-", "-", count, among
    by = 100 if outcome.kind is OutcomeKind.BINARY else 1
    digits = 0 if outcome.kind is OutcomeKind.BINARY else 2
    means = (f"{by * mean:,.{digits}f}" for mean in (one.result.group_mean, one.result.rest_mean))
    limits = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return name, _words(one), f"{ratio.value:.2f}{limits}", *means, count, among


def _words(one: Compared) -> str:
    """What the comparison says; of a need also whether what the score was made to predict shows it too."""
    said = _SAYS[one.reading].format(way="more" if (one.ratio.value or 0) > 1 else "less")
    if one.standing is Standing.SCALES_DISAGREE:
        said = "not settled: the scales of costs disagree"
    return f"{said}; what it was made to predict differs less" if one.shows_mismatch else said

"""The columns of `reviews_v1`, `editions_v1` and `findings_v1`: what a review saw, put in force and opened.

Rows are written once. What a finding is at the moment is the last row about it.
"""

from __future__ import annotations

from typing import Final

from cds_wrapper.ledger.columns import Column, Kind


def _text(name: str, meaning: str, *, required: bool = True) -> Column:
    return Column(name, Kind.TEXT, meaning, required=required, since=5)


def _time(name: str, meaning: str) -> Column:
    return Column(name, Kind.TIMESTAMP, meaning, required=True, since=5)


_SUBJECT: Final = (
    _text("service_id", "Service it is about, under every hook."),
    _text("model_id", "Model it is about."),
    _text("model_version", "Version of that model."),
)

REVIEW_COLUMNS: Final[tuple[Column, ...]] = (
    _text("review_id", "Id of the review (UUIDv7)."),
    _time("recorded_at", "When its result was written."),
    *_SUBJECT,
    _text("as_of", "Day up to which outcomes were counted, as `2026-07-01`."),
    Column("dated", Kind.INTEGER, "Number of this dated review, from 1; null for a daily look.", since=5),
    _text("result_digest", "`sha256:` and digest of the whole result, kept compressed among the kept files."),
    _text("wrapper_version", "Version of cds-wrapper that made it."),
)

EDITION_COLUMNS: Final[tuple[Column, ...]] = (
    _text("edition_id", "Id of the publication (UUIDv7)."),
    _text("review_id", "Review it rests on."),
    _time("published_at", "When it was published: serving processes follow within seconds."),
    *_SUBJECT,
    _text("edition", "Name of the edition as the review made it, as in `predictions_v1`."),
    _text("digest", "`sha256:` and digest of that edition, which is among the kept files."),
    _text("as_of", "Day up to which outcomes were counted, as `2026-07-01`."),
    _text("local_digest", "`sha256:` and digest of this hospital's evidence in it, among the kept files."),
    _text("wrapper_version", "Version of cds-wrapper that published it."),
)

FINDING_COLUMNS: Final[tuple[Column, ...]] = (
    _text("finding_id", "Id of the finding, `here-` and a number; tells nothing of the group."),
    _text("state", "`opened` by a review, or `closed` by people."),
    _time("recorded_at", "When the row was written."),
    *_SUBJECT,
    _text("outcome", "Outcome it is about."),
    _text("kind", "Which rule found it, as `docs/reference/findings.md` lists them."),
    Column(
        "groups", Kind.JSON, "Levels by attribute; an empty object for everybody.", since=5, required=True
    ),
    Column(
        "exclusive", Kind.BOOLEAN, "Whether people of several races are left out.", since=5, required=True
    ),
    _text("direction", "Which way the score errs; null where it is not about a direction.", required=False),
    _text("since", "First day on which it held, as `2026-07-01`."),
    Column("detail", Kind.JSON, "The figures behind it when it was opened.", since=5, required=True),
    _text("review_id", "Review that opened it; null for a row that closes.", required=False),
    _text("by_role", "Role of who closed it; a role, not a person's name.", required=False),
    _text("second_role", "Second role: closing loosens, and takes two.", required=False),
    _text("why", "Why it was closed; never shown on a card.", required=False),
    _text("wrapper_version", "Version of cds-wrapper that wrote the row."),
)

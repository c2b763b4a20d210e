"""What is written down about feedback: what a clinician did with a card. Pure values.

A batch is never lost over one bad entry: each is read by itself into a `FeedbackEntry` or into the reason
why it is none. EHRs differ from the specification in known ways; those are kept and flagged.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cds_wrapper.ledger.columns import FEEDBACK_COLUMNS
from cds_wrapper.ledger.values import FORMS, Checker, Plain

# Set when the row is written: its place, and whether the card is one of ours.
_COMMITTED = ("sequence", "writer", "prediction_id", "matched", "previous_hash", "hash")
_NAMES = tuple(column.name for column in FEEDBACK_COLUMNS)
_OWN = tuple(column.name for column in FEEDBACK_COLUMNS if column.name not in _COMMITTED)
_CHECKER = Checker([column for column in FEEDBACK_COLUMNS if column.name in _OWN])


class BadFeedback(enum.Enum):
    """Why an entry cannot be stored; says nothing of its content."""

    NOT_AN_OBJECT = "not_an_object"
    NO_CARD = "no_card"
    NO_OUTCOME = "no_outcome"
    NO_TIME = "no_time"


class Flag(enum.Enum):
    """What was odd about an entry that was stored all the same."""

    SUGGESTIONS_MISSING = "suggestions_missing"
    TIME_WITHOUT_ZONE = "time_without_zone"
    REASON_MISSPELT = "reason_misspelt"


@dataclass(frozen=True, slots=True, repr=False)
class FeedbackEntry:
    """One entry of a feedback call. The comment's text is not here: it may name a patient."""

    service_id: str
    client: str
    received_at: datetime
    card_uuid: str
    outcome: str
    outcome_at: datetime
    outcome_at_raw: str
    accepted_suggestions: tuple[str, ...] | None
    reason_code: str | None
    reason_system: str | None
    reason_display: str | None
    user_comment_present: bool
    flags: tuple[Flag, ...]
    tenant: str | None = None

    def __post_init__(self) -> None:
        """Check it on the caller's own path: what reaches the committer can be written."""
        self.plain()

    def __repr__(self) -> str:
        return f"FeedbackEntry({self.outcome})"

    def row(
        self, writer: str, sequence: int, prediction_id: str | None, previous_hash: str | None = None
    ) -> tuple[Plain, ...]:
        """The whole row in the order of `FEEDBACK_COLUMNS`, hashed."""
        whole: dict[str, Plain] = {
            **self.plain(),
            "sequence": sequence,
            "writer": writer,
            "prediction_id": prediction_id,
            "matched": prediction_id is not None,
            "previous_hash": previous_hash,
            "hash": None,
        }
        row = [whole[name] for name in _NAMES]
        row[-1] = FORMS["feedback"].hash(row)
        return tuple(row)

    def plain(self) -> dict[str, Plain]:
        """What the database would hold, by column, in values that JSON can carry; see `of_plain`."""
        given = {name: getattr(self, name) for name in _OWN}
        given["flags"] = [flag.value for flag in self.flags]
        return dict(zip(_OWN, _CHECKER.checked(given), strict=True))

    @classmethod
    def of_plain(cls, plain: Mapping[str, object]) -> FeedbackEntry:
        """The entry that `plain` came from; a column it lacks is null. Errors as in `Checker.from_plain`."""
        given: dict[str, Any] = dict(zip(_OWN, _CHECKER.from_plain(plain), strict=True))
        for name in ("received_at", "outcome_at"):
            given[name] = datetime.fromisoformat(given[name])
        suggestions = given["accepted_suggestions"]
        given["accepted_suggestions"] = None if suggestions is None else tuple(json.loads(suggestions))
        given["flags"] = tuple(Flag(flag) for flag in json.loads(given["flags"] or "[]"))
        return cls(**given)


def read_feedback_entry(
    raw: object, service_id: str, client: str, received_at: datetime, tenant: str | None = None
) -> FeedbackEntry | BadFeedback:
    """Read one decoded entry of a feedback call (CDS Hooks 2.0, "Feedback")."""
    if not isinstance(raw, Mapping):
        return BadFeedback.NOT_AN_OBJECT
    card, outcome, at_raw = _text(raw, "card"), _text(raw, "outcome"), _text(raw, "outcomeTimestamp")
    card_uuid = (card or "").lower().removeprefix("urn:uuid:").strip()
    if not card_uuid:
        return BadFeedback.NO_CARD
    if outcome not in {"accepted", "overridden"}:
        return BadFeedback.NO_OUTCOME
    moment = _moment(at_raw)
    if at_raw is None or moment is None:
        return BadFeedback.NO_TIME
    suggestions = _suggestions(raw.get("acceptedSuggestions"))
    code, system, display, comment = _override_reason(raw)
    return FeedbackEntry(
        service_id=service_id,
        client=client,
        received_at=received_at,
        card_uuid=card_uuid,
        outcome=outcome,
        outcome_at=moment if moment.tzinfo else moment.replace(tzinfo=UTC),
        outcome_at_raw=at_raw,
        accepted_suggestions=suggestions,
        reason_code=code,
        reason_system=system,
        reason_display=display,
        user_comment_present=comment,
        flags=_flags(raw, outcome, suggestions, moment),
        tenant=tenant,
    )


def _flags(
    raw: Mapping[str, object], outcome: str, suggestions: tuple[str, ...] | None, moment: datetime
) -> tuple[Flag, ...]:
    raised = {
        Flag.SUGGESTIONS_MISSING: outcome == "accepted" and not suggestions,
        Flag.TIME_WITHOUT_ZONE: moment.tzinfo is None,
        Flag.REASON_MISSPELT: "overrideReasons" in raw,
    }
    return tuple(flag for flag, is_raised in raised.items() if is_raised)


def _moment(text: str | None) -> datetime | None:
    """A time as RFC 3339 writes it, any fraction and offset; None when it is none."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def _suggestions(accepted: object) -> tuple[str, ...] | None:
    """Ids of accepted suggestions in a fixed order; None when the member is absent or no array."""
    if not isinstance(accepted, list):
        return None
    ids = {text for one in accepted if isinstance(one, Mapping) and (text := _text(one, "id"))}
    return tuple(sorted(ids))


def _override_reason(raw: Mapping[str, object]) -> tuple[str | None, str | None, str | None, bool]:
    """Code, system, display of the reason, and whether a comment came.

    Read from `overrideReason`, or from the plural some EHRs write, object or array.
    """
    given = raw.get("overrideReason") or raw.get("overrideReasons")
    first = given[0] if isinstance(given, list) and given else given
    if not isinstance(first, Mapping):
        return None, None, None, False
    coding = first.get("reason")
    reason = coding if isinstance(coding, Mapping) else {}
    comment = _text(first, "userComment") is not None
    return _text(reason, "code"), _text(reason, "system"), _text(reason, "display"), comment


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    return value.strip() or None if isinstance(value, str) else None

"""What is written down about feedback: what a clinician did with a card. Pure values.

A batch is never lost over one bad entry: each is read by itself into a `FeedbackEntry` or into the reason
why it is none. EHRs differ from the specification in known ways; those are kept and flagged.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping
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
    SUGGESTIONS_MISSPELT = "suggestions_misspelt"
    TIME_WITHOUT_ZONE = "time_without_zone"
    TIME_AS_NUMBER = "time_as_number"
    OUTCOME_MISSPELT = "outcome_misspelt"
    REASON_MISSPELT = "reason_misspelt"
    REASON_IN_EXTENSION = "reason_in_extension"
    REASON_UNREADABLE = "reason_unreadable"
    SEVERAL_REASONS = "several_reasons"
    """Only the first of them is kept."""


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


@dataclass(frozen=True, slots=True)
class _Reason:
    """What an override says of its reason; all of it may be missing."""

    code: str | None = None
    system: str | None = None
    display: str | None = None
    has_comment: bool = False
    flags: frozenset[Flag] = frozenset()


def read_feedback_entry(
    raw: object, service_id: str, client: str, received_at: datetime, tenant: str | None = None
) -> FeedbackEntry | BadFeedback:
    """Read one decoded entry of a feedback call (CDS Hooks 2.0, "Feedback")."""
    if not isinstance(raw, Mapping):
        return BadFeedback.NOT_AN_OBJECT
    card_uuid = _card(_text(raw, "card") or "")
    if not card_uuid:
        return BadFeedback.NO_CARD
    written = _text(raw, "outcome") or ""
    outcome = written.casefold()
    if outcome not in {"accepted", "overridden"}:
        return BadFeedback.NO_OUTCOME
    at_raw = raw.get("outcomeTimestamp")
    moment = _moment(at_raw)
    if moment is None:
        return BadFeedback.NO_TIME
    suggestions = _suggestions(raw.get("acceptedSuggestions"))
    reason = _override_reason(raw)
    odd = {
        Flag.OUTCOME_MISSPELT: outcome != written,
        Flag.SUGGESTIONS_MISSING: outcome == "accepted" and not suggestions,
        Flag.SUGGESTIONS_MISSPELT: bool(suggestions) and not _is_specified(raw["acceptedSuggestions"]),
        Flag.TIME_WITHOUT_ZONE: moment.tzinfo is None,
        Flag.TIME_AS_NUMBER: not isinstance(at_raw, str) or at_raw.strip().isdigit(),
        **dict.fromkeys(reason.flags, True),
    }
    return FeedbackEntry(
        service_id=service_id,
        client=client,
        received_at=received_at,
        card_uuid=card_uuid,
        outcome=outcome,
        outcome_at=moment if moment.tzinfo else moment.replace(tzinfo=UTC),
        outcome_at_raw=str(at_raw).strip(),
        accepted_suggestions=suggestions,
        reason_code=reason.code,
        reason_system=reason.system,
        reason_display=reason.display,
        user_comment_present=reason.has_comment,
        flags=tuple(flag for flag in Flag if odd.get(flag)),
        tenant=tenant,
    )


def _card(written: str) -> str:
    """The card's id as we wrote it: small letters, no urn, no braces; an id that is no UUID is kept too."""
    return written.lower().removeprefix("urn:uuid:").strip(" {}")


def _moment(written: object) -> datetime | None:
    """A time as RFC 3339 writes it, any fraction and offset, or counted from 1970; None when it is none."""
    try:
        match written:
            case bool():
                return None
            case int() | float():
                return _since_1970(written)
            case str() if written.strip().isdigit() and len(written.strip()) in _EPOCH_DIGITS:
                return _since_1970(int(written))
            case str():
                # A leap second is a time, and not one that Python knows.
                moment = datetime.fromisoformat(_LEAP_SECOND.sub(r"\1:59", written.strip().upper()))
                return moment.astimezone(UTC) if moment.tzinfo else moment
            case _:
                return None
    except (ValueError, OverflowError, OSError):
        return None


_EPOCH_DIGITS = (10, 13)
_LEAP_SECOND = re.compile(r"(\d\d:\d\d):60(?!\d)")
_MILLISECONDS_FROM = 100_000_000_000
"""A count above this is one of milliseconds: as seconds it would lie three thousand years ahead."""


def _since_1970(count: float) -> datetime:
    return datetime.fromtimestamp(count / 1000 if abs(count) >= _MILLISECONDS_FROM else count, UTC)


def _is_specified(accepted: object) -> bool:
    """Whether suggestions are named as the specification has it: an array of objects with an `id`."""
    return isinstance(accepted, list) and all(
        isinstance(one, Mapping) and isinstance(one.get("id"), str) for one in accepted
    )


def _suggestions(accepted: object) -> tuple[str, ...] | None:
    """Ids of accepted suggestions in a fixed order; None when the member names none in any way."""
    if accepted is None:
        return None
    named = (_suggestion(one) for one in (accepted if isinstance(accepted, list) else [accepted]))
    ids = tuple(sorted({one for one in named if one}))
    return ids if ids or isinstance(accepted, list) else None


def _suggestion(one: object) -> str | None:
    match one:
        case str():
            return one.strip() or None
        case Mapping():
            return _text(one, "id") or _text(one, "uuid")
        case _:
            return None


def _override_reason(raw: Mapping[str, object]) -> _Reason:
    """The reason and whether a comment came, from `overrideReason` or from the plural some EHRs write.

    Either may be an object or an array. A reason that was built in the EHR stands in an extension.
    """
    given = raw.get("overrideReason") or raw.get("overrideReasons")
    if not given:
        return _Reason()
    reasons = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, Mapping)]
    first = reasons[0] if reasons else {}
    coding = _coding(first.get("reason"))
    code, system, display = (_text(coding, name) for name in ("code", "system", "display"))
    in_extension = None if code or display else _built_in_the_ehr([first.get("extension"), coding])
    has_comment = any(_text(one, "userComment") for one in reasons)
    odd = {
        Flag.REASON_MISSPELT: "overrideReasons" in raw or isinstance(given, list),
        Flag.REASON_IN_EXTENSION: in_extension is not None,
        Flag.REASON_UNREADABLE: not (code or display or in_extension or has_comment),
        Flag.SEVERAL_REASONS: len(reasons) > 1,
    }
    flags = frozenset(flag for flag, is_raised in odd.items() if is_raised)
    return _Reason(code, system, display or in_extension, has_comment, flags)


def _coding(reason: object) -> Mapping[str, object]:
    """The coding of a reason: itself, the first of several, or the first inside a CodeableConcept."""
    if isinstance(reason, list):
        reason = next((one for one in reason if isinstance(one, Mapping)), None)
    if not isinstance(reason, Mapping):
        return {}
    codings = reason.get("coding")
    inner = (
        next((one for one in codings if isinstance(one, Mapping)), {}) if isinstance(codings, list) else {}
    )
    return {"display": reason.get("text"), **inner} if inner else reason


_BUILT_IN = ("reasonDisplay", "reasonTitle", "reasonCategory")
_DEEPEST_EXTENSION = 4


def _built_in_the_ehr(places: Iterable[object], depth: int = _DEEPEST_EXTENSION) -> str | None:
    """The words of a reason that only the EHR knows, wherever in an extension they stand; best first."""
    for place in places:
        inside: list[object] = []
        if isinstance(place, Mapping):
            found = next((text for name in _BUILT_IN if (text := _text(place, name))), None)
            if found:
                return found
            inside = list(place.values())
        elif isinstance(place, list):
            inside = place
        deeper = _built_in_the_ehr(inside, depth - 1) if depth and inside else None
        if deeper:
            return deeper
    return None


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    return value.strip() or None if isinstance(value, str) else None

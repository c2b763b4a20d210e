"""A row of `predictions_v1` in readable form: the same values, with what they mean beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cds_wrapper.demo.fhir_values import items, mapping
from cds_wrapper.ledger.entries import FEATURES

Row = Mapping[str, Any]
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True, repr=False)
class Line:
    """One value of the record: what it is, what stands there, what that means."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One room of the corridor, for the strip above the card; `state` is good, odd or bad."""

    title: str
    fact: str
    state: str


@dataclass(frozen=True, slots=True, repr=False)
class Timing:
    """Milliseconds of one part of the call, against the whole budget."""

    label: str
    spent: float
    budget: float


@dataclass(frozen=True, slots=True, repr=False)
class RecordView:
    """What the screen shows of one record."""

    prediction_id: str
    sequence: str
    steps: tuple[Step, ...]
    prediction: tuple[Line, ...]
    groups: tuple[Line, ...]
    caveat: tuple[Line, ...]
    done: tuple[Line, ...]
    inputs: tuple[Line, ...]
    features: tuple[Line, ...]
    keys: tuple[Line, ...]
    timings: tuple[Timing, ...]
    columns: tuple[tuple[str, str], ...]


def view_record(row: Row) -> RecordView:
    """Read one row."""
    return RecordView(
        prediction_id=_plain(row["prediction_id"]),
        sequence=_plain(row["sequence"]),
        steps=tuple(_steps(row)),
        prediction=tuple(_prediction(row)),
        groups=tuple(_groups(row)),
        caveat=tuple(_caveat(row)),
        done=tuple(_done(row)),
        inputs=tuple(_inputs(row)),
        features=tuple(_features(row)),
        keys=tuple(_keys(row)),
        timings=tuple(_timings(row)),
        columns=tuple((name, _plain(value)) for name, value in row.items()),
    )


def _plain(value: object) -> str:
    """Any column as text; null is a dash."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case list():
            return ", ".join(_plain(part) for part in value) or "none"
        case dict():
            return "; ".join(f"{key}: {_plain(part)}" for key, part in value.items())
        case _:
            return str(value)


_ANSWERED: Final = frozenset({"answered", "no_cards"})

# The corridor -----------------------------------------------------------------------------------------------


def _steps(row: Row) -> Iterator[Step]:
    """The rooms a request passes, each with what happened there."""
    inputs = [mapping(one) for key, one in mapping(row["inputs"]).items() if key != FEATURES]
    there = [one for one in inputs if one.get("state") in {"present", "empty"}]
    sent = [one for one in there if one.get("source") != "fhir"]
    read = len(there) - len(sent)
    known = [one for one in mapping(row["demographics"]).values() if mapping(one).get("missing") is None]
    answered = row["status"] in _ANSWERED
    cards = items(row["cards_returned"])
    whole = "good" if len(there) == len(inputs) else "odd"
    yield Step("EHR sent", f"{len(sent)} of {len(inputs)} inputs{_empty(sent)}", whole)
    if read:
        yield Step("Wrapper read", f"{read} of {len(inputs)} inputs, {_ms(row['fhir_ms'])}", whole)
    yield Step("Patient read", f"{len(known)} of {len(mapping(row['demographics']))} details known", "good")
    if row["status"] == "stopped":
        yield Step("Model not asked", "the service is switched off", "odd")
    else:
        yield Step(
            "Model asked", f"{_word(row['status'])}, {_ms(row['vendor_ms'])}", "good" if answered else "bad"
        )
    yield Step("Evidence", _word(row["caveat_level"] or "no caveat"), _caveat_state(row))
    yield Step("Recorded", f"number {_plain(row['sequence'])}, before the answer", "good")
    yield Step(
        "Answered", f"{len(cards)} card{'' if len(cards) == 1 else 's'}, {_ms(row['total_ms'])}", "good"
    )


def _empty(inputs: Sequence[Row]) -> str:
    nothing = sum(1 for one in inputs if one.get("state") == "empty")
    return f", {nothing} of them empty" if nothing else ""


def _caveat_state(row: Row) -> str:
    return {"reduced": "bad", "supported": "good"}.get(row["caveat_level"] or "", "odd")


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f} ms"


def _word(code: object) -> str:
    return str(code).replace("_", " ")


# Its sections -----------------------------------------------------------------------------------------------

_STATUSES: Final[Mapping[str, str]] = {
    "answered": "the vendor answered with a card",
    "no_cards": "the vendor answered and had nothing to say",
    "timed_out": "the vendor did not answer within its part of the time budget",
    "circuit_open": "the vendor failed repeatedly and is given a rest",
    "refused": "the vendor refused the request",
    "unreadable": "the vendor's answer could not be read",
    "missing_input": "the vendor says that inputs are missing",
    "stale": "the vendor's score is older than allowed",
    "stopped": "the hospital has switched the service off",
    "overloaded": "too many requests at once",
    "unreachable": "no connection to the vendor",
    "failed": "the vendor answered with an error of its own",
    "error": "an error of the wrapper itself",
}


def _prediction(row: Row) -> Iterator[Line]:
    yield Line("Status", _plain(row["status"]), _STATUSES.get(row["status"], ""))
    if row["reason"]:
        yield Line("More", _plain(row["reason"]))
    yield Line("Score", _score(row), _score_note(row))
    yield Line(
        "Model",
        f"{_plain(row['model_id'])} {_plain(row['model_version'])}",
        f"version said by the {_plain(row['model_version_source'])}",
    )
    if row["inputs_missing"]:
        yield Line("Missing inputs", _plain(row["inputs_missing"]))


def _score(row: Row, column: str = "score") -> str:
    """A score or a threshold in the unit people read it in."""
    if row[column] is None:
        return NOTHING
    return f"{row[column] * 100:.1f} %" if row["score_kind"] == "probability" else f"{row[column]:g}"


def _score_note(row: Row) -> str:
    if row["score"] is None:
        return "none was calculated"
    reached = "at or above" if row["flagged"] else "below"
    against = f"{reached} the threshold of {_score(row, 'threshold')}" if row["threshold"] is not None else ""
    return "; ".join(part for part in (row["band"], against) if part)


_ATTRIBUTES: Final[Mapping[str, str]] = {
    "age_band": "Age",
    "sex": "Sex",
    "race": "Race",
    "ethnicity": "Ethnicity",
    "race_ethnicity": "Race and ethnicity",
    "language": "Language",
    "interpreter_needed": "Interpreter needed",
    "tribal_affiliation": "Tribal affiliation",
    "disability": "Disability",
    "payer": "Payer",
    "deprivation_quintile": "Deprivation of the area",
    "rurality": "Rurality",
}
_MISSING: Final[Mapping[str, str]] = {
    "absent": "never entered",
    "unknown": "recorded as unknown",
    "asked_unknown": "asked, and not known",
    "declined": "declined to say, as is a patient’s right",
    "invalid": "what stands there cannot be right",
    "text_only": "free text only, which is not guessed at",
    "imprecise": "not precise enough to tell",
    "not_captured_in_profile": "records here do not hold it",
    "not_fetched": "was not sent",
    "fetch_failed": "could not be read",
    "withheld": "withheld",
}


def _groups(row: Row) -> Iterator[Line]:
    recorded = mapping(row["demographics"])
    for name in sorted(recorded, key=_place):
        one = mapping(recorded[name])
        yield Line(_ATTRIBUTES.get(name, _word(name)), _group(one), _group_note(one))


def _place(name: str) -> int:
    known = list(_ATTRIBUTES)
    return known.index(name) if name in known else len(known)


def _group(attribute: Row) -> str:
    missing = attribute.get("missing")
    if missing is not None:
        return f"missing: {_word(missing)}"
    members = items(attribute.get("members"))
    several = f" ({_plain([_word(member) for member in members])})" if len(members) > 1 else ""
    return _word(attribute.get("value")) + several


def _group_note(attribute: Row) -> str:
    parts = [
        _MISSING.get(str(attribute.get("missing")), ""),
        *(_word(flag) for flag in items(attribute.get("dq"))),
    ]
    return "; ".join(part for part in parts if part)


_LEVELS: Final[Mapping[str, str]] = {
    "supported": "shown to work for patients like this one",
    "limited": "evidence is thin, old or not from here",
    "not_assessed": "a detail needed to look it up is not on file",
    "not_validated": "no results exist for patients like this one",
    "reduced": "known to work less well, or not meant, for patients like this one",
}
_REASONS: Final[Mapping[str, str]] = {
    "known_gap": "a known difference in how well it works",
    "thin_evidence": "too few results",
    "not_reported": "the developer gives no results",
    "not_represented": "absent from the data it was built on",
    "out_of_scope": "outside the use the developer intended",
    "missing_input": "an input was missing",
    "doubtful_input": "an input is less reliable here",
    "group_unknown": "could not be looked up",
    "label_mismatch": "built to predict something else",
    "under_review": "early figures are being looked at",
}
_SCOPES: Final[Mapping[str, str]] = {
    "patient": "specific to this patient",
    "model": "holds for every patient today: one line in the card’s detail",
}


def _caveat(row: Row) -> Iterator[Line]:
    yield Line("Level", _plain(row["caveat_level"]), _LEVELS.get(row["caveat_level"] or "", ""))
    for reason in items(row["caveat_reasons"]):
        name, _, rest = str(reason).partition(":")
        which = f", {_word(rest.replace(':', ', side '))}" if rest else ""
        yield Line("Reason", str(reason), f"{_REASONS.get(name, '')}{which}")
    yield Line("Scope", _plain(row["caveat_scope"]), _SCOPES.get(row["caveat_scope"] or "", ""))
    yield Line("In the summary", _plain(row["caveat_in_summary"]))
    yield Line(
        "Approved texts used", _plain(row["wording_ids"]), f"wording version {_plain(row['wording_version'])}"
    )
    yield Line("Evidence edition", _plain(row["evidence_edition"]))


_DISPOSITIONS: Final[Mapping[str, str]] = {
    "show": "the vendor’s card as it came",
    "annotate": "the card with the caveat on it",
    "lower_urgency": "shown at lower urgency",
    "withhold": "the score is not shown",
    "shadow": "whatever was calculated is recorded and not shown",
    "stop": "the service is switched off: no score is shown",
}
_DELIVERIES: Final[Mapping[str, str]] = {
    "sent": "the answer went out after the record was durable",
    "abandoned": "the EHR had hung up",
    "not_returned": "the record came too late; another answer went out",
}


def _done(row: Row) -> Iterator[Line]:
    yield Line("Disposition", _plain(row["disposition"]), _disposition_note(row))
    if row.get("decision_id"):
        yield Line("Under the order", _plain(row["decision_id"]), "who gave it stands in decisions_v1")
    yield Line("Delivery", _plain(row["delivery"]), _DELIVERIES.get(row["delivery"], ""))
    yield Line("HTTP status", _plain(row["http_status"]))
    yield Line("Cards returned", _shortened(items(row["cards_returned"])))
    yield Line("Changes made", _plain(row["changes_made"]))
    yield Line("Plan", f"version {_plain(row['plan_version'])}")


def _disposition_note(row: Row) -> str:
    """A failure is never hidden: the disposition is about a score, and then there is none.

    While a service is stopped or in shadow the disposition alone says what was shown.
    """
    stands = row["disposition"] in {"shadow", "stop"}
    if not stands and row["score"] is None and row["status"] not in _ANSWERED:
        return "there was no score; the wrapper’s own card says so"
    return _DISPOSITIONS.get(row["disposition"] or "", "")


def _shortened(ids: Sequence[object]) -> str:
    return ", ".join(f"{str(one)[:8]}…" for one in ids) or "none"


_SOURCES: Final[Mapping[str, str]] = {
    "fhir": "read from the EHR’s FHIR server",
    "both": "came in part, the rest was read from the EHR’s FHIR server",
}


def _inputs(row: Row) -> Iterator[Line]:
    for key, one in mapping(row["inputs"]).items():
        if key == FEATURES:
            continue
        found = mapping(one)
        why = _word(found["why"]) if "why" in found else ""
        yield Line(key, _word(found.get("state", NOTHING)), why or _SOURCES.get(found.get("source", ""), ""))


def _features(row: Row) -> Iterator[Line]:
    """What the model was given: from where and how old, or why not. The record holds no value of it."""
    for name, one in mapping(mapping(row["inputs"]).get(FEATURES)).items():
        found = mapping(one)
        state = f"missing: {_word(found['missing'])}" if "missing" in found else "found"
        told = (
            _code(found.get("code")),
            _age(found.get("age_s")),
            "in doubt" if found.get("doubtful") else "",
        )
        yield Line(_word(name), state, ", ".join(part for part in told if part))


def _code(code: object) -> str:
    return str(code).rpartition("|")[2] if code else ""


def _age(seconds: object) -> str:
    """An age as a person says it: minutes, hours or days."""
    if not isinstance(seconds, int | float):
        return ""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        number = int(seconds // length)
        if number > 1 or (number == 1 and unit == "minute"):
            return f"{number} {unit}{'s' if number > 1 else ''} old"
    return "just taken"


def _keys(row: Row) -> Iterator[Line]:
    yield Line("Patient", _plain(row["patient_key"]), "from the record number")
    yield Line("Patient in the EHR", _plain(row["patient_fhir_key"]), "from the hook’s context")
    yield Line("User", _plain(row["user_key"]), _plain(row["user_kind"]))
    yield Line("Key", _plain(row["key_id"]), "without it no pseudonym can be traced back")


_PARTS: Final[Mapping[str, str]] = {
    "fhir_ms": "Reading what the EHR did not send",
    "vendor_ms": "Vendor",
    "decide_ms": "Deciding and writing the card",
    "ledger_ms": "Waiting to be recorded",
    "total_ms": "Whole call",
}


def _timings(row: Row) -> Iterator[Timing]:
    budget = row["budget_ms"]
    for column, label in _PARTS.items():
        if row[column] is not None and budget and (row[column] or column != "fhir_ms"):
            yield Timing(label, round(row[column], 1), budget)

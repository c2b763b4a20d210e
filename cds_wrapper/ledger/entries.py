"""What is written down about a prediction: entry, correction and the files that decided. Pure values.

An entry is checked against the table of columns when it is made, on the request's own path: whatever
reaches the committer can be written. The functions below `KeptFile` turn what the other rooms hand
over into columns; together they make every column that is not simply copied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, assert_never

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState, Reading
from cds_wrapper.ledger.columns import COLUMNS, COMMITTED, DEMOGRAPHIC_COLUMNS
from cds_wrapper.ledger.pseudonyms import Pseudonyms
from cds_wrapper.ledger.values import (
    FORMS,
    Checker,
    JSONText,
    Plain,
    json_text,
    json_text_of_texts,
    milliseconds,
    timestamp,
)
from cds_wrapper.patient.demographics import Demographics
from cds_wrapper.patient.subgroups import PatientSubgroups
from cds_wrapper.vendors.base import NoPrediction, Prediction
from cds_wrapper.vendors.features import NO_FEATURES, Features, IfMissing

_texts = msgspec.json.Decoder(tuple[str, ...])
_OWN = tuple(column for column in COLUMNS if column.name not in COMMITTED)
_CHECKER = Checker(_OWN)
_FORM = FORMS["predictions"]
_PLACES = {column.name: place for place, column in enumerate(_OWN)}
# `COMMITTED` stands in three places: behind the first of our columns, behind this many, and at the end.
_LEDGER_MS = _FORM.names.index("ledger_ms") - COMMITTED.index("ledger_ms")


@dataclass(frozen=True, slots=True, repr=False, init=False)
class LedgerEntry:
    """One prediction, ready to be written: every column but the committer's own, checked and normalised.

    Made from Python values by column; afterwards it holds what the database will. `TypeError` and
    `ValueError` as in `Checker.checked`.
    """

    _values: tuple[Plain, ...]

    def __init__(self, columns: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", _CHECKER.checked(columns))

    @classmethod
    def of_plain(cls, plain: Mapping[str, object]) -> LedgerEntry:
        """The entry that `plain` came from; a column it lacks is null. Errors as in `Checker.from_plain`."""
        entry = cls.__new__(cls)
        object.__setattr__(entry, "_values", _CHECKER.from_plain(plain))
        return entry

    def plain(self) -> dict[str, Plain]:
        """What the database would hold, by column, in values that JSON can carry; see `of_plain`."""
        return dict(zip(_PLACES, self._values, strict=True))

    def __repr__(self) -> str:
        return f"LedgerEntry({self.prediction_id})"

    def __getitem__(self, name: str) -> Plain:
        return self._values[_PLACES[name]]

    def some(self, names: Iterable[str]) -> dict[str, Plain]:
        """These columns, by name."""
        values = self._values
        return {name: values[_PLACES[name]] for name in names}

    def taken(self, by: Picker) -> tuple[Plain, ...]:
        """The columns of a `picker`, in its order: the quickest way to the same ones of every entry."""
        return by(self._values)

    @property
    def prediction_id(self) -> str:
        """Id of the prediction."""
        return str(self["prediction_id"])

    @property
    def card_uuids(self) -> tuple[str, ...]:
        """Ids of the cards in the answer; feedback finds the prediction by them."""
        cards = self["cards_returned"]
        return _texts.decode(str(cards)) if cards else ()

    def row(self, stamp: Stamp) -> tuple[Plain, ...]:
        """The whole row in the order of `COLUMNS`, with what only the committer knows, hashed."""
        own = self._values
        place = (stamp.sequence, stamp.writer, timestamp(stamp.recorded_at))
        waited = milliseconds(stamp.waited)
        row = [*own[:1], *place, *own[1:_LEDGER_MS], waited, *own[_LEDGER_MS:], stamp.previous_hash, None]
        row[-1] = _FORM.hash(row)
        return tuple(row)


Picker = Callable[[tuple[Plain, ...]], tuple[Plain, ...]]


def picker(*names: str) -> Picker:
    """What takes these columns (two or more) out of an entry."""
    return itemgetter(*(_PLACES[name] for name in names))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the committer adds: place in the writer's count and chain, moment of writing, wait before it."""

    writer: str
    sequence: int
    recorded_at: datetime
    waited: timedelta
    previous_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry to be written, how long it has waited, and when it was recorded elsewhere; None means now."""

    entry: LedgerEntry
    waited: timedelta
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A prediction whose row says one thing and whose answer was another: it became durable too late.

    `cards_returned` are the ids of the cards that were returned in its stead; None when that is not known.
    `recorded_at` is when this was recorded elsewhere; None means now.
    """

    prediction_id: str
    cards_returned: tuple[str, ...] | None = None
    delivery: str = "not_returned"
    recorded_at: datetime | None = None

    def row(self, stamp: Stamp) -> tuple[Plain, ...]:
        """The whole row in the order of `CORRECTION_COLUMNS`, hashed."""
        cards = None if self.cards_returned is None else json_text(self.cards_returned)
        place = (stamp.sequence, stamp.writer, timestamp(stamp.recorded_at))
        row = (*place, self.prediction_id, self.delivery, cards, stamp.previous_hash)
        return (*row, FORMS["corrections"].hash((*row, None)))


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that decided something, kept by its digest so that a record can be replayed."""

    digest: str
    kind: str
    name: str
    content: bytes = field(repr=False)


# Columns from what the other rooms hand over ----------------------------------------------------------------


def keys_of(
    request: CDSRequest,
    pseudonyms: Pseudonyms,
    namespace: str,
    identifiers: Mapping[str, Sequence[str]],
    patient: bytes | None,
    encounter: bytes | None = None,
) -> dict[str, object]:
    """Pseudonyms of the patient, the encounter and the user, and what they were made from.

    `namespace` is the system of the ids in the hook's context. `identifiers` holds the declared systems in
    order, by `patient` and `encounter`. `patient` is the patient's own resource when it came: without it
    `patient_key` is null, and `patient_fhir_key` still links the record.
    """
    kind, user_id = _user(request.user_id)
    patient_system, patient_value = _declared(patient, identifiers.get("patient", ()))
    encounter_system, encounter_value = _declared(encounter, identifiers.get("encounter", ()))
    return {
        "patient_key": _key(pseudonyms.patient, patient_system, patient_value),
        "patient_key_source": patient_system,
        "patient_fhir_key": _key(pseudonyms.patient, namespace, request.patient_id),
        "encounter_key": _key(pseudonyms.encounter, encounter_system, encounter_value),
        "encounter_key_source": encounter_system,
        "encounter_fhir_key": _key(pseudonyms.encounter, namespace, request.encounter_id),
        "user_key": _key(pseudonyms.user, namespace, user_id),
        "user_kind": kind,
        "key_id": pseudonyms.key_id,
    }


def _key(make: Callable[[str, str], str], system: str | None, value: str | None) -> str | None:
    return make(system, value) if system and value else None


def _user(user_id: str | None) -> tuple[str | None, str | None]:
    """Type and bare id of `Type/id`, which may stand behind a server's address."""
    if not user_id:
        return None, None
    front, _, bare = user_id.strip().rpartition("/")
    return front.rpartition("/")[2] or None, bare or None


class _Identified(msgspec.Struct):
    identifier: msgspec.Raw = msgspec.Raw(b"null")


_identified = msgspec.json.Decoder(_Identified)


def _declared(resource: bytes | None, systems: Sequence[str]) -> tuple[str | None, str | None]:
    """System and value of a resource's identifier in the first declared system it has one in.

    Values are trimmed and not changed otherwise. An identifier marked `old` is nobody's key any more.
    """
    if resource is None or not systems:
        return None, None
    try:
        found = msgspec.json.decode(_identified.decode(resource).identifier)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    values = by_system(found if isinstance(found, list) else [])
    return next(((system, values[system]) for system in systems if system in values), (None, None))


def by_system(identifiers: Sequence[object]) -> dict[str, str]:
    """The first usable value in each system, trimmed; an element of the wrong shape is passed over.

    Whoever makes a pseudonym of a resource's identifier reads it by this: two readings would be two people.
    """
    values: dict[str, str] = {}
    for one in identifiers:
        match one:
            case {"use": "old"}:
                continue
            case {"system": str(system), "value": str(value)} if value.strip():
                values.setdefault(system.strip(), value.strip())
    return values


def demographic_columns(demographics: Demographics, subgroups: PatientSubgroups) -> dict[str, object]:
    """The flat columns, the whole demographics and the subgroups.

    A flat column is null when the site does not collect the attribute. One that the site declares as a
    subgroup and could not read has its missing reason.
    """
    levels = {name: attribute.level for name, attribute in demographics.items()} | dict(subgroups.levels)
    return {
        **{column.name: levels.get(column.name) for column in DEMOGRAPHIC_COLUMNS},
        "demographics": json_text_of_texts(demographics.to_record()),
        "subgroups": subgroups.texts(),
    }


def input_columns(
    request: CDSRequest,
    prefetch: Prefetch,
    prediction: Prediction | NoPrediction,
    own_keys: Collection[str] = (),
    features: Features = NO_FEATURES,
    doubtful: Sequence[str] = (),
) -> dict[str, object]:
    """What the vendor was given: what became of each prefetch key and input, what was missing or in doubt.

    `own_keys` are those asked for by the wrapper alone: their state is kept, but they are no inputs.
    `doubtful` are labels.
    """
    received = timestamp(request.received_at)
    states = prefetch.states.items()
    keys = {key: _input(key, state, request.prefetch, prefetch.reading, received) for key, state in states}
    named = prediction.missing_inputs if isinstance(prediction, NoPrediction) else ()
    used = sum(state in _USABLE and key not in own_keys for key, state in states)
    if not features.inputs:
        return {
            "inputs": json_text_of_texts(keys),
            "inputs_used": used,
            "inputs_missing": list(named),
            "inputs_doubtful": None,
        }
    missing = (*named, *(one.label for one in features.missing))
    judged = [one for one in features.inputs if one.if_missing is not IfMissing.NOT_JUDGED]
    return {
        "inputs": JSONText(json_text({**keys, FEATURES: _features(features, named)})),
        "inputs_used": sum(one.value is not None for one in judged) if judged else used,
        "inputs_missing": list(dict.fromkeys(missing)),
        "inputs_doubtful": list(doubtful),
    }


FEATURES = "features"
"""The member of `inputs` that holds the declared inputs; all others are prefetch keys."""


def _features(features: Features, named: Collection[str]) -> dict[str, dict[str, object]]:
    recorded = features.to_record()
    for one in features.missing:
        if one.label in named:
            recorded[one.name]["named"] = True
    return recorded


def named_as_missing(row: Mapping[str, Any], features: Features) -> tuple[str, ...]:
    """What of a row's `inputs_missing` the prediction itself named: the rest was only not found."""
    recorded = (row["inputs"] or {}).get(FEATURES, {})
    only_not_found = {one.label for one in features.missing if not recorded[one.name].get("named")}
    return tuple(name for name in row["inputs_missing"] or () if name not in only_not_found)


_USABLE = frozenset({PrefetchState.PRESENT, PrefetchState.TRUNCATED})


def _input(
    key: str, state: PrefetchState, sent: Mapping[str, bytes], reading: Reading, received: str
) -> dict[str, str]:
    """State, source and time of one key; of what an EHR sends, only the time it came is known."""
    one = {"state": state.value}
    read_at = reading.read_at.get(key)
    if key in sent:
        one["source"] = "prefetch" if read_at is None else "both"
        one["read_at"] = received if read_at is None else timestamp(read_at)
    elif state is not PrefetchState.ABSENT:
        one["source"] = "fhir"
        if read_at is not None:
            one["read_at"] = timestamp(read_at)
    if key in reading.troubles:
        one["why"] = reading.troubles[key]
    return one


def prediction_columns(
    prediction: Prediction | NoPrediction, threshold_id: str | None, threshold: float | None
) -> dict[str, object]:
    """What the vendor answered and what the call cost; the threshold is the service's first one."""
    return {
        "model_id": prediction.model.id,
        "model_version": prediction.model.version,
        "model_version_source": prediction.model.source.value,
        "status": prediction.status.value,
        "reason": prediction.reason,
        **_score_columns(prediction),
        "score_at": prediction.score_at,
        "threshold_id": threshold_id,
        "threshold": threshold,
        "band": None,
        "vendor_http_status": prediction.call.http_status,
        "vendor_attempts": prediction.call.attempts,
        "vendor_hook_instance": prediction.call.hook_instance,
        "vendor_ms": prediction.call.milliseconds,
    }


def _score_columns(prediction: Prediction | NoPrediction) -> dict[str, object]:
    match prediction:
        case Prediction():
            kind = prediction.score_kind if prediction.score is not None else None
            return {
                "score": prediction.score,
                "score_kind": kind.value if kind else None,
                "flagged": prediction.flagged,
            }
        case NoPrediction():
            return {"score": None, "score_kind": None, "flagged": None}
        case _:
            assert_never(prediction)

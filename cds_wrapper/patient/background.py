"""Sex, language, interpreter, tribal affiliation, and what the place a patient lives in is like.

Nothing here is inferred from anything else: a language says nothing about ethnicity, a postal code
gives the line of the site's table and is then forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, assert_never

from cds_wrapper.patient.attributes import Attribute, Missing, unrepeated
from cds_wrapper.patient.codes import (
    ADMINISTRATIVE_GENDER,
    BIRTH_SEX_EXTENSIONS,
    INTERPRETER_CODES,
    INTERPRETER_REQUIRED,
    LANGUAGE_SYSTEMS,
    NOT_ONE_LANGUAGE,
    SEX_CODES,
    SHORTEST_LANGUAGE,
    TRIBE_SYSTEMS,
    US_CORE,
    null_reason,
)
from cds_wrapper.patient.reading import (
    Code,
    RecordedPatient,
    Statement,
    known,
    lacking,
    most_telling,
    null_reasons,
    raw_code,
    raw_codes,
    statement_of,
    statement_of_concept,
)
from cds_wrapper.patient.rules import (
    DEPRIVATION_QUINTILE,
    INTERPRETER_NEEDED,
    LANGUAGE,
    RURALITY,
    SEX,
    TRIBAL_AFFILIATION,
    DemographicRules,
    RaceProfile,
    SexSource,
)

# Attributes with several sources ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class _Reading:
    """What one source says: a value, or why there is none; neither when the source is not there."""

    source: str
    value: str | None = None
    missing: Missing | None = None
    raw: tuple[str, ...] = ()
    degraded: bool = False


def _first_answer(
    readings: Sequence[_Reading], dq: Iterable[str], scheme: str, raw: tuple[str, ...]
) -> Attribute:
    """The first source with a value; without one the first with a reason, a null code before a fault."""
    flags = [*dq, *(["degraded"] if any(reading.degraded for reading in readings) else [])]
    for reading in readings:
        if reading.value is not None:
            faulty = any(other.missing is Missing.INVALID for other in readings)
            flags += ["source_invalid"] if faulty else []
            return known(reading.value, raw, reading.source, flags, scheme)
    reasons = [(reading.missing, reading.source) for reading in readings if reading.missing is not None]
    reasons.sort(key=lambda reason: reason[0] is Missing.INVALID)
    reason, source = reasons[0] if reasons else (Missing.ABSENT, None)
    return lacking(reason, scheme, raw=raw, source=source, dq=flags)


def _reading(source: str, said: Statement | None, table: Mapping[tuple[str, str], str]) -> _Reading:
    if said is None:
        return _Reading(source)
    raw = raw_codes(Code(code.system or source, code.code) for code in said.codes)
    values = (table.get((code.system, code.code)) for code in said.codes)
    value = next((value for value in values if value is not None), None)
    if value is not None:
        return _Reading(source, value=value, raw=raw, degraded=said.degraded)
    return _Reading(source, missing=_why_missing(said), raw=raw, degraded=said.degraded)


def _why_missing(said: Statement) -> Missing:
    """Why a statement without a usable code has no value."""
    reason = most_telling(null_reasons(said))
    if reason is not None:
        return reason
    if said.codes or said.degraded:
        return Missing.INVALID
    return Missing.TEXT_ONLY if any(text.strip() for text in said.texts) else Missing.ABSENT


def _all_raw(readings: Iterable[_Reading]) -> tuple[str, ...]:
    return unrepeated(code for reading in readings for code in reading.raw)


def _unreadable(patient: RecordedPatient, attribute: Attribute) -> Attribute:
    """`invalid` instead of `absent` when an extension could not be read: it may have been this one."""
    if attribute.missing is Missing.ABSENT and attribute.source is None and patient.extensions_degraded:
        return lacking(Missing.INVALID, attribute.scheme or "", dq=("degraded",))
    return attribute


# Sex --------------------------------------------------------------------------------------------------------


def sex(patient: RecordedPatient, rules: DemographicRules) -> Attribute:
    """Sex from the site's preferred source; every source is looked at, and a difference is flagged."""
    readings = {source: _sex_reading(patient, source) for source in SexSource}
    values = {reading.value for reading in readings.values() if reading.value is not None}
    dq = ["sex_sources_differ"] if len(values) > 1 else []
    ordered = [readings[source] for source in rules.sex_sources]
    raw = _all_raw(readings.values())
    return _unreadable(patient, _first_answer(ordered, dq, rules.scheme(SEX), raw))


def _sex_reading(patient: RecordedPatient, source: SexSource) -> _Reading:
    match source:
        case SexSource.GENDER:
            return _gender(patient)
        case SexSource.BIRTH_SEX:
            extensions = patient.named(BIRTH_SEX_EXTENSIONS)
        case SexSource.INDIVIDUAL_SEX | SexSource.SEX:
            extensions = patient.named((US_CORE + source.value,))
        case _:
            assert_never(source)
    return _reading(f"Patient.extension[{source.value}]", statement_of(extensions), SEX_CODES)


def _gender(patient: RecordedPatient) -> _Reading:
    path = "Patient.gender"
    if patient.gender is None:
        reason = patient.gender_absent
        return _Reading(path, missing=reason)
    if not isinstance(patient.gender, str):
        return _Reading(path, missing=Missing.INVALID, degraded=True)
    code = patient.gender.strip()
    raw = (raw_code(ADMINISTRATIVE_GENDER, code),)
    value = SEX_CODES.get((ADMINISTRATIVE_GENDER, code))
    if value is not None:
        return _Reading(path, value=value, raw=raw)
    return _Reading(path, missing=null_reason(ADMINISTRATIVE_GENDER, code) or Missing.INVALID, raw=raw)


# Interpreter ------------------------------------------------------------------------------------------------


_INTERPRETER_SOURCES = {
    url: f"Patient.extension[{url.rpartition('/')[2]}]"
    for url in (US_CORE + "us-core-interpreter-needed", INTERPRETER_REQUIRED)
}


def interpreter_needed(patient: RecordedPatient, rules: DemographicRules) -> Attribute:
    """Whether an interpreter is needed, as the Patient says; US Core may also put it on the Encounter."""
    readings = [_interpreter_reading(patient, url, path) for url, path in _INTERPRETER_SOURCES.items()]
    values = {reading.value for reading in readings if reading.value is not None}
    dq = ["interpreter_sources_differ"] if len(values) > 1 else []
    attribute = _first_answer(readings, dq, rules.scheme(INTERPRETER_NEEDED), _all_raw(readings))
    return _unreadable(patient, attribute)


def _interpreter_reading(patient: RecordedPatient, url: str, path: str) -> _Reading:
    said = statement_of(patient.named((url,)))
    if said is not None and said.booleans:
        answer, word = ("yes", "true") if said.booleans[0] else ("no", "false")
        return _Reading(path, value=answer, raw=(f"{path}|{word}",), degraded=said.degraded)
    return _reading(path, said, INTERPRETER_CODES)


# Tribe ------------------------------------------------------------------------------------------------------


def tribal_affiliation(patient: RecordedPatient, rules: DemographicRules) -> Attribute:
    """Whether any tribe is recorded; which one is never kept, not even as a code."""
    scheme = rules.scheme(TRIBAL_AFFILIATION)
    said = statement_of(patient.named((US_CORE + "us-core-tribal-affiliation",)))
    if said is None:
        asked = rules.race_profile is RaceProfile.US_CORE
        absent = Missing.ABSENT if asked else Missing.NOT_CAPTURED_IN_PROFILE
        return _unreadable(patient, lacking(absent, scheme))
    path = "Patient.extension[us-core-tribal-affiliation]"
    dq = ("degraded",) if said.degraded else ()
    if any(code.system in TRIBE_SYSTEMS and null_reason("", code.code) is None for code in said.codes):
        return known("any", (), path, dq, scheme)
    return lacking(_why_missing(said), scheme, source=path, dq=dq)


# Language ---------------------------------------------------------------------------------------------------

_TAG = re.compile(r"([A-Za-z]{2,3})([-_][A-Za-z0-9]{1,8})*", re.ASCII)
_LANGUAGE_SOURCE = "Patient.communication.language"


def language(patient: RecordedPatient, rules: DemographicRules) -> Attribute:
    """The preferred language, or the only one; several of which none is preferred are `imprecise`."""
    communication = patient.communication
    entries = communication.items
    preferred = [entry for entry in entries if entry.get("preferred") is True]
    said = [statement_of_concept(entry.get("language")) for entry in preferred or entries]
    flags = ["degraded"] if communication.degraded or any(each.degraded for each in said) else []
    flags += ["language_not_marked_preferred"] if entries and not preferred else []
    raw = raw_codes(code for each in said for code in each.codes)
    subtags = {subtag for each in said if (subtag := _subtag_of(each)) is not None}
    scheme = rules.scheme(LANGUAGE)
    if len(subtags) == 1:
        subtag = min(subtags)
        value = subtag if subtag in ("en", *rules.languages) else "other"
        return known(value, raw, _LANGUAGE_SOURCE, flags, scheme)
    if len(subtags) > 1:
        flags += ["several_languages_preferred"] if preferred else []
        return lacking(Missing.IMPRECISE, scheme, raw=raw, source=_LANGUAGE_SOURCE, dq=flags)
    reason = most_telling(_why_no_language(each) for each in said)
    unreadable = Missing.INVALID if communication.degraded else Missing.ABSENT
    source = _LANGUAGE_SOURCE if entries else None
    return lacking(reason or unreadable, scheme, raw=raw, source=source, dq=flags)


def _subtag_of(said: Statement) -> str | None:
    tags = (code.code for code in said.codes if code.system in LANGUAGE_SYSTEMS)
    subtags = (_primary_subtag(tag) for tag in tags)
    return next((subtag for subtag in subtags if subtag and subtag not in NOT_ONE_LANGUAGE), None)


def _why_no_language(said: Statement) -> Missing:
    if any(code.system in LANGUAGE_SYSTEMS and code.code.lower() == "und" for code in said.codes):
        return Missing.UNKNOWN
    return _why_missing(said)


def _primary_subtag(tag: str) -> str | None:
    """The language of a tag without region, script or case: `en-US`, `EN` and `eng` are all `en`."""
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    primary = match[1].lower()
    return SHORTEST_LANGUAGE.get(primary, primary)


# Deprivation and rurality -----------------------------------------------------------------------------------

_POSTAL_CODE = re.compile(r"(\d{5})(?:-?\d{4})?", re.ASCII)
_UNITED_STATES = frozenset({"us", "usa", "u.s.", "u.s.a.", "united states", "united states of america"})
_ADDRESS_SOURCE = "Patient.address.postalCode"
# Addresses a person lives at, the best first. Work and billing addresses say nothing about a home.
_HOME_USES: Mapping[object, int] = {"home": 0, None: 1, "temp": 2}


def deprivation_quintile(patient: RecordedPatient, on: date, rules: DemographicRules) -> Attribute:
    """Quintile of the current home's postal code in the site's table; the postal code is not kept."""
    quintiles = rules.deprivation.quintiles if rules.deprivation else None
    return _of_home(patient, on, quintiles, rules.scheme(DEPRIVATION_QUINTILE))


def rurality(patient: RecordedPatient, on: date, rules: DemographicRules) -> Attribute:
    """Kind of place of the current home's postal code in the site's table; the postal code is not kept."""
    return _of_home(patient, on, rules.rurality.kinds if rules.rurality else None, rules.scheme(RURALITY))


def _of_home(
    patient: RecordedPatient, on: date, table: Mapping[str, int] | Mapping[str, str] | None, scheme: str
) -> Attribute:
    addresses = patient.address
    dq = ["degraded"] if addresses.degraded else []
    homes = [address for address in addresses.items if _is_current_home(address, on)]
    if not homes or table is None:
        reason = Missing.INVALID if addresses.degraded and not addresses.items else Missing.ABSENT
        dq += ["no_current_home_address"] if addresses.items else []
        return lacking(reason, scheme, dq=dq)
    best = min(_HOME_USES[address.get("use")] for address in homes)
    homes = [address for address in homes if _HOME_USES[address.get("use")] == best]
    home = homes[0]
    dq += ["several_current_homes"] if any(_differ(home, other) for other in homes) else []
    value, reason, flags = _looked_up(home, table)
    if value is not None:
        return known(str(value), (), _ADDRESS_SOURCE, (*dq, *flags), scheme)
    return lacking(reason, scheme, source=_ADDRESS_SOURCE, dq=(*dq, *flags))


def _looked_up(
    home: Mapping[str, Any], table: Mapping[str, int] | Mapping[str, str]
) -> tuple[int | str | None, Missing, tuple[str, ...]]:
    country = home.get("country")
    if isinstance(country, str) and country.strip() and country.strip().casefold() not in _UNITED_STATES:
        return None, Missing.UNKNOWN, ("address_outside_table",)
    code = home.get("postalCode")
    if code is None or code == "":
        return None, Missing.ABSENT, ()
    if not isinstance(code, str):
        return None, Missing.INVALID, ("degraded",)
    match = _POSTAL_CODE.fullmatch(code.strip())
    if match is None:
        return None, Missing.INVALID, ()
    value = table.get(match[1])
    return value, Missing.UNKNOWN, () if value else ("postal_code_not_in_table",)


def _differ(home: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(home.get("postalCode") != other.get("postalCode"))


def _is_current_home(address: Mapping[str, Any], on: date) -> bool:
    use = address.get("use")
    if not (use is None or isinstance(use, str)) or use not in _HOME_USES:
        return False
    period = address.get("period")
    start, end = (period.get("start"), period.get("end")) if isinstance(period, dict) else (None, None)
    return not (_is_before(end, on) or _is_after(start, on))


def _is_before(moment: object, on: date) -> bool:
    """Whether a FHIR date, possibly partial, lies wholly before a day."""
    return isinstance(moment, str) and bool(moment) and moment[:10] < on.isoformat()[: len(moment[:10])]


def _is_after(moment: object, on: date) -> bool:
    return isinstance(moment, str) and bool(moment) and moment[:10] > on.isoformat()[: len(moment[:10])]

"""Writes a US Core shaped Patient from a profile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from cds_wrapper.demo.codes import SNOMED, US_CORE
from cds_wrapper.demo.profiles import Ethnicity, Home, Precision, Profile, Race

SYNTHETIC: Final = {"tag": [{"system": "urn:cds-wrapper:demo", "code": "synthetic"}]}
"""Every resource carries it. Not the label HTEST: a test patient would be kept out of all measures."""

MRN_SYSTEM: Final = "urn:oid:1.2.3.4"
POSTAL_CODES: Final[Mapping[int | None, str]] = {
    1: "00001",
    2: "00002",
    3: "00003",
    4: "00004",
    5: "00005",
    None: "00099",
}
"""Deprivation quintile -> postal code. No real place has a postal code that begins with 000."""

_CDCREC = "urn:oid:2.16.840.1.113883.6.238"
_NULL = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

_WHITE = (_CDCREC, "2106-3", "White")
_BLACK = (_CDCREC, "2054-5", "Black or African American")
_ASIAN = (_CDCREC, "2028-9", "Asian")
_NATIVE = (_CDCREC, "1002-5", "American Indian or Alaska Native")
_PACIFIC = (_CDCREC, "2076-8", "Native Hawaiian or Other Pacific Islander")
_OTHER = (_CDCREC, "2131-1", "Other Race")
_HISPANIC = (_CDCREC, "2135-2", "Hispanic or Latino")
_NOT_HISPANIC = (_CDCREC, "2186-5", "Not Hispanic or Latino")
_UNKNOWN = (_NULL, "UNK", "Unknown")
_ASKED = (_NULL, "ASKU", "Asked but unknown")
_DECLINED = (_ABSENT, "asked-declined", "Asked But Declined")

Coding = tuple[str, str, str]
_RACES: Final[Mapping[Race, tuple[Coding, ...]]] = {
    Race.WHITE: (_WHITE,),
    Race.BLACK: (_BLACK,),
    Race.ASIAN: (_ASIAN,),
    Race.ASIAN_DETAILED: (_ASIAN,),
    Race.NATIVE: (_NATIVE,),
    Race.PACIFIC: (_PACIFIC,),
    Race.OTHER: (_OTHER,),
    Race.BLACK_AND_WHITE: (_BLACK, _WHITE),
    Race.ASIAN_AND_PACIFIC: (_ASIAN, _PACIFIC),
    Race.NATIVE_AND_WHITE: (_NATIVE, _WHITE),
    Race.UNKNOWN: (_UNKNOWN,),
    Race.ASKED_UNKNOWN: (_ASKED,),
    Race.DECLINED: (_DECLINED,),
    Race.ETHNICITY_IN_RACE_SLOT: (_HISPANIC,),
    Race.TEXT_ONLY: (),
}
_DETAILED: Final[Mapping[Race, Coding]] = {Race.ASIAN_DETAILED: (_CDCREC, "2034-7", "Chinese")}
_ETHNICITIES: Final[Mapping[Ethnicity, Coding]] = {
    Ethnicity.HISPANIC: _HISPANIC,
    Ethnicity.NOT_HISPANIC: _NOT_HISPANIC,
    Ethnicity.UNKNOWN: _UNKNOWN,
    Ethnicity.DECLINED: _DECLINED,
}


def write_patient(profile: Profile, today: date) -> dict[str, Any]:
    """Write the Patient as it stands on `today`."""
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "id": profile.id,
        "meta": {"profile": [f"{US_CORE}/us-core-patient"], **SYNTHETIC},
        "identifier": _identifiers(profile),
        "active": True,
        "name": [{"use": "official", "family": profile.family, "given": [profile.given]}],
        "telecom": _telecom(profile),
        "gender": profile.gender,
        "birthDate": write_birth_date(profile, today),
        "address": _addresses(profile.home, profile.number, today),
    }
    optional = {"extension": _extensions(profile), "communication": _communication(profile)}
    return patient | {name: value for name, value in optional.items() if value}


def write_birth_date(profile: Profile, today: date) -> str:
    """Write a birth date that makes the patient `profile.age` today and for as long as possible around it.

    Of a year alone it is the calendar year's difference: the age is that or one less.
    """
    if profile.precision is Precision.YEAR:
        return f"{today.year - profile.age:04d}"
    birthday = today - timedelta(days=profile.turned)
    if (birthday.month, birthday.day) == (2, 29):
        birthday -= timedelta(days=1)
    born = birthday.replace(year=birthday.year - profile.age)
    return born.isoformat()[:7] if profile.precision is Precision.MONTH else born.isoformat()


def _extensions(profile: Profile) -> list[dict[str, Any]]:
    written = [_race(profile.race), _ethnicity(profile.ethnicity), *_sexes(profile)]
    if profile.tribe:
        written.append(_TRIBE)
    if profile.interpreter is not None:
        code, display = ("373066001", "Yes") if profile.interpreter else ("373067005", "No")
        coding = {"system": SNOMED, "code": code, "display": display}
        written.append({"url": f"{US_CORE}/us-core-interpreter-needed", "valueCoding": coding})
    return [one for one in written if one is not None]


def _race(race: Race) -> dict[str, Any] | None:
    if race is Race.ABSENT:
        return None
    categories = _RACES[race]
    text = " and ".join(display for _, _, display in categories) or "see paper form"
    parts = [_part("ombCategory", coding) for coding in categories]
    if race in _DETAILED:
        parts.append(_part("detailed", _DETAILED[race]))
    return {"url": f"{US_CORE}/us-core-race", "extension": [*parts, {"url": "text", "valueString": text}]}


def _ethnicity(ethnicity: Ethnicity) -> dict[str, Any] | None:
    if ethnicity is Ethnicity.ABSENT:
        return None
    coding = _ETHNICITIES[ethnicity]
    parts = [_part("ombCategory", coding), {"url": "text", "valueString": coding[2]}]
    return {"url": f"{US_CORE}/us-core-ethnicity", "extension": parts}


def _part(url: str, coding: Coding) -> dict[str, Any]:
    system, code, display = coding
    return {"url": url, "valueCoding": {"system": system, "code": code, "display": display}}


def _sexes(profile: Profile) -> list[dict[str, Any]]:
    """Write birth sex (US Core 3.1.1 to 7) or individual sex (from 8): hospitals differ."""
    written: list[dict[str, Any]] = []
    if profile.individual_sex is not None:
        coding = {"system": SNOMED, "code": profile.individual_sex}
        written.append({"url": f"{US_CORE}/us-core-individual-sex", "valueCoding": coding})
    if profile.birth_sex is not None:
        written.append({"url": f"{US_CORE}/us-core-birthsex", "valueCode": profile.birth_sex})
    return written


_TRIBE: Final[dict[str, Any]] = {
    "url": f"{US_CORE}/us-core-tribal-affiliation",
    "extension": [
        {
            "url": "tribalAffiliation",
            "valueCodeableConcept": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-TribalEntityUS",
                        "code": "187",
                        "display": "Paiute-Shoshone Tribe of the Fallon Reservation and Colony, Nevada",
                    }
                ]
            },
        }
    ],
}


def _identifiers(profile: Profile) -> list[dict[str, Any]]:
    """Write a record number and a social security number from the block (9xx) that is given to nobody."""
    return [
        {
            "use": "usual",
            "type": _identifier_type("MR"),
            "system": MRN_SYSTEM,
            "value": f"DEMO{profile.number:05d}",
        },
        {
            "type": _identifier_type("SS"),
            "system": "http://hl7.org/fhir/sid/us-ssn",
            "value": f"999-{profile.number % 90 + 10}-{profile.number + 4000:04d}",
        },
    ]


def _identifier_type(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}]}


def _telecom(profile: Profile) -> list[dict[str, Any]]:
    """Write a number from the block kept for fiction and an address of the domain kept for examples."""
    return [
        {
            "system": "phone",
            "value": f"555-{profile.number % 1000:03d}-01{profile.number % 100:02d}",
            "use": "home",
        },
        {"system": "email", "value": f"{profile.given.lower()}.{profile.number}@patients.example.org"},
    ]


def _addresses(home: Home, number: int, today: date) -> list[dict[str, Any]]:
    current = _address(home.quintile, f"{number} Sample Street") | {"use": "home"}
    if home.previous_quintile is None:
        return [current]
    moved = today - timedelta(days=400)
    old = _address(home.previous_quintile, f"{number} Former Road")
    return [
        old | {"use": "old", "period": {"end": moved.isoformat()}},
        current | {"period": {"start": moved.isoformat()}},
    ]


def _address(quintile: int | None, line: str) -> dict[str, Any]:
    return {
        "line": [line],
        "city": "Exampleton",
        "state": "MA",
        "postalCode": POSTAL_CODES[quintile],
        "country": "US",
    }


def _communication(profile: Profile) -> list[dict[str, Any]]:
    if profile.language is None:
        return []
    spoken: dict[str, Any] = {
        "language": {"coding": [{"system": "urn:ietf:bcp:47", "code": profile.language}]},
    }
    return [spoken | ({"preferred": True} if profile.language_preferred else {})]

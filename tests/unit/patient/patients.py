"""Builds synthetic Patients for these tests: only the parts a test is about, nobody real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.patient.demographics import (
    ATTRIBUTES,
    Attribute,
    DemographicRules,
    Demographics,
    DeprivationTable,
    RuralityTable,
    describe,
)

Json = dict[str, Any]

CDCREC = "urn:oid:2.16.840.1.113883.6.238"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
SCT = "http://snomed.info/sct"
DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

AIAN, ASIAN, BLACK, NHPI, WHITE, OTHER = "1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "2131-1"
HISPANIC, NOT_HISPANIC = "2135-2", "2186-5"
UNK, ASKU, DECLINED = (NULL_FLAVOR, "UNK"), (NULL_FLAVOR, "ASKU"), (ABSENT_REASON, "asked-declined")

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)

DEPRIVATION = DeprivationTable("ADI", 2022, "ZIP5", {"74048": 4, "02139": 1})
RURALITY = RuralityTable("RUCA", 2020, "ZIP5", {"74048": "rural", "02139": "metro"})
EVERYTHING = DemographicRules(
    collect=ATTRIBUTES, languages=("es", "zh"), deprivation=DEPRIVATION, rurality=RURALITY
)

# Public test data beside the checkout, where there is any.
SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def patient(*extensions: Json, **fields: object) -> bytes:
    """A Patient resource with these extensions and fields."""
    document: Json = {"resourceType": "Patient", "id": "synthetic-1", **fields}
    if extensions:
        document["extension"] = list(extensions)
    return json.dumps(document).encode()


def coding(code: str | tuple[str, str]) -> Json:
    """A Coding; a bare string is a code of CDCREC."""
    system, word = (CDCREC, code) if isinstance(code, str) else code
    return {"system": system, "code": word}


def race(
    *categories: str | tuple[str, str],
    detailed: tuple[str, ...] = (),
    text: str | None = None,
    url: str = US_CORE + "us-core-race",
) -> Json:
    """A race extension (or, with its url, an ethnicity extension) in the shape of US Core."""
    parts: list[Json] = [{"url": "ombCategory", "valueCoding": coding(code)} for code in categories]
    parts += [{"url": "detailed", "valueCoding": coding(code)} for code in detailed]
    parts += [{"url": "text", "valueString": text}] if text is not None else []
    return {"url": url, "extension": parts}


def ethnicity(
    *categories: str | tuple[str, str], detailed: tuple[str, ...] = (), text: str | None = None
) -> Json:
    """An ethnicity extension in the shape of US Core."""
    return race(*categories, detailed=detailed, text=text, url=US_CORE + "us-core-ethnicity")


def birth_sex(code: str) -> Json:
    return {"url": US_CORE + "us-core-birthsex", "valueCode": code}


def individual_sex(code: str, system: str = SCT) -> Json:
    return {"url": US_CORE + "us-core-individual-sex", "valueCoding": {"system": system, "code": code}}


def speaks(tag: str, preferred: bool | None = None, system: str = "urn:ietf:bcp:47") -> Json:
    """One entry of Patient.communication."""
    entry: Json = {"language": {"coding": [{"system": system, "code": tag}]}}
    return entry if preferred is None else {**entry, "preferred": preferred}


def reason_absent(code: str) -> Json:
    """What stands in `_birthDate` or `_gender` when the value itself is absent for a reason."""
    return {"extension": [{"url": DATA_ABSENT, "valueCode": code}]}


def described(raw: bytes, rules: DemographicRules = EVERYTHING, on: datetime = NOON) -> Demographics:
    return describe(raw, on, rules)


def read(name: str, raw: bytes, rules: DemographicRules = EVERYTHING) -> Attribute:
    """One attribute of a Patient at noon on 15 June 2026."""
    return described(raw, rules)[name]


def lines_of(relative: str) -> Iterator[bytes]:
    """The lines of a public sample; the test is skipped where it is not there."""
    path = SHARED_DATA / relative
    if not path.exists():
        pytest.skip(f"the public sample {relative} is not beside this checkout")
    yield from path.read_bytes().splitlines()

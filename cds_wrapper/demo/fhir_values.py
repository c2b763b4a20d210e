"""Reads values out of FHIR R4 JSON of any shape: a wrong shape reads as "not there", never as a crash."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from cds_wrapper.demo import codes

JSON = Mapping[str, Any]

_EMPTY: JSON = {}
_USABLE_STATUS = frozenset({"final", "amended", "corrected"})
_NO_DATE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, repr=False)
class Measured:
    """One number with the unit it came in, the LOINC code it came under and when it was taken."""

    value: float
    unit: str
    code: str
    taken: datetime

    @property
    def day(self) -> str | None:
        """The day it was taken, or None when the resource does not say."""
        return None if self.taken == _NO_DATE else self.taken.date().isoformat()

    def __repr__(self) -> str:
        return f"Measured(code={self.code!r})"


def mapping(value: object) -> JSON:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def items(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return `value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def resources(bundle: object, kind: Collection[str], patient_id: str) -> list[JSON]:
    """List the resources of these types in a searchset Bundle, leaving out those of another patient."""
    found = [mapping(mapping(entry).get("resource")) for entry in items(mapping(bundle).get("entry"))]
    return [one for one in found if text(one.get("resourceType")) in kind and _belongs(one, patient_id)]


def _belongs(resource: JSON, patient_id: str) -> bool:
    reference = text(mapping(resource.get("subject")).get("reference"))
    return not reference or reference.rsplit("/", 1)[-1] == patient_id


def is_answered(value: object) -> bool:
    """Say whether the EHR looked: null ("there is nothing") and a Bundle count, an error does not."""
    if value is None:
        return True
    if mapping(value).get("resourceType") != "Bundle":
        return False
    return not any(
        _is_error(mapping(mapping(entry).get("resource"))) for entry in items(mapping(value).get("entry"))
    )


def _is_error(resource: JSON) -> bool:
    issues = items(resource.get("issue")) if resource.get("resourceType") == "OperationOutcome" else []
    return any(mapping(issue).get("severity") in {"error", "fatal"} for issue in issues)


def is_complete(bundle: object) -> bool:
    """Say whether this is the whole result: a `next` link means that more was not sent."""
    return not any(mapping(link).get("relation") == "next" for link in items(mapping(bundle).get("link")))


def coded(concept: object, system: str) -> list[str]:
    """List the codes of one system in a CodeableConcept."""
    codings = [mapping(coding) for coding in items(mapping(concept).get("coding"))]
    return [text(coding.get("code")) for coding in codings if coding.get("system") == system]


def observations(bundle: object, patient_id: str) -> list[JSON]:
    """List a Bundle's usable Observations, newest first, without preliminary, cancelled and wrong ones."""
    usable = [o for o in resources(bundle, {"Observation"}, patient_id) if o.get("status") in _USABLE_STATUS]
    return sorted(usable, key=taken_at, reverse=True)


def quantities(found: list[JSON], loinc: Collection[str]) -> Iterator[Measured]:
    """Yield the numbers given under these LOINC codes, alone or as a component, in the order of `found`."""
    for observation in found:
        for part in (observation, *(mapping(c) for c in items(observation.get("component")))):
            if measured := _quantity(part, loinc, taken_at(observation)):
                yield measured


def _quantity(part: JSON, loinc: Collection[str], taken: datetime) -> Measured | None:
    matched = [code for code in coded(part.get("code"), codes.LOINC) if code in loinc]
    quantity = mapping(part.get("valueQuantity"))
    value = quantity.get("value")
    # A bound (">60") is not a value, and a reason for absence says that there is none.
    if not matched or "comparator" in quantity or "dataAbsentReason" in part:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    unit = text(quantity.get("code")) or text(quantity.get("unit"))
    return Measured(float(value), unit, matched[0], taken)


def taken_at(observation: JSON) -> datetime:
    """When an Observation was taken; one without a readable date counts as the oldest."""
    period = mapping(observation.get("effectivePeriod"))
    choices = (
        observation.get("effectiveDateTime"),
        observation.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
        observation.get("issued"),
    )
    return next((moment for moment in map(instant, choices) if moment is not None), _NO_DATE)


def instant(value: object) -> datetime | None:
    """Read a FHIR dateTime; a partial one is its first moment, one without a zone is taken as UTC."""
    written = text(value)
    padded = written + "-01-01"[len(written) - 4 :] if len(written) in {4, 7} else written
    try:
        moment = datetime.fromisoformat(padded)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, repr=False)
class BirthDate:
    """A birth date as precise as it was written: `precision` is day, month or year."""

    day: date
    precision: str

    def age_on(self, on: date) -> int:
        """Completed years on a day."""
        return on.year - self.day.year - ((on.month, on.day) < (self.day.month, self.day.day))

    def __repr__(self) -> str:
        return f"BirthDate(precision={self.precision!r})"


def birth_date(value: object) -> BirthDate | None:
    """Read Patient.birthDate; of a partial one take the middle, which is at most half the period off."""
    written = text(value)[:10]
    precision = {4: "year", 7: "month", 10: "day"}.get(len(written))
    try:
        day = date.fromisoformat(written + {"year": "-07-01", "month": "-15"}.get(precision or "", ""))
    except ValueError:
        return None
    return BirthDate(day, precision) if precision else None

"""What a demographic attribute is once recorded: a value or a reason, never neither and never both.

These are values without behaviour: `race`, `background` and `age` make them from FHIR, `demographics`
gathers them, `subgroups` puts the patient into groups by them, and the ledger keeps them as they are.
"""

from __future__ import annotations

import enum
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Missing(enum.Enum):
    """Why a value is missing; a closed list, because each reason has another remedy.

    `not_fetched` and `fetch_failed` are a fault of this system, `declined` is a patient's right and
    `absent` is registration's job.
    """

    ABSENT = "absent"
    UNKNOWN = "unknown"
    ASKED_UNKNOWN = "asked_unknown"
    DECLINED = "declined"
    INVALID = "invalid"
    TEXT_ONLY = "text_only"
    IMPRECISE = "imprecise"
    NOT_CAPTURED_IN_PROFILE = "not_captured_in_profile"
    NOT_FETCHED = "not_fetched"
    FETCH_FAILED = "fetch_failed"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, repr=False)
class Attribute:
    """One demographic attribute of one patient, as recorded at the moment of a prediction.

    `value` is the collapsed category in the exclusive view (each patient in one group) and `members` the
    same patient alone or in combination: `multiple` has its races there, a single value has itself,
    a missing one nothing. `raw_codes` are `system|code`, never display text, so that another scheme can be
    computed later; tribes and postal codes are never among them. `source` is the FHIR path that won, `dq`
    the data-quality flags, `scheme` the collapse table and its version.
    """

    value: str | None
    missing: Missing | None
    members: tuple[str, ...] = ()
    raw_codes: tuple[str, ...] = ()
    source: str | None = None
    dq: tuple[str, ...] = ()
    scheme: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.missing is None):
            raise ValueError("An attribute has either a value or a reason why it is missing.")
        if bool(self.members) != (self.value is not None):
            raise ValueError("An attribute has members exactly when it has a value.")

    def __repr__(self) -> str:
        return "Attribute(...)"

    @property
    def level(self) -> str:
        """The value, or `missing:<reason>`: missing is a group like any other."""
        return f"missing:{self.missing.value}" if self.missing else str(self.value)

    def to_record(self) -> dict[str, Any]:
        """This attribute as JSON, every member always there."""
        return {
            "value": self.value,
            "missing": self.missing.value if self.missing else None,
            "members": list(self.members),
            "raw_codes": list(self.raw_codes),
            "source": self.source,
            "dq": list(self.dq),
            "scheme": self.scheme,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Attribute:
        """The attribute `to_record` wrote; `KeyError` or `ValueError` when it is not one."""
        missing = record["missing"]
        return cls(
            value=record["value"],
            missing=Missing(missing) if missing is not None else None,
            members=tuple(record["members"]),
            raw_codes=tuple(record["raw_codes"]),
            source=record["source"],
            dq=tuple(record["dq"]),
            scheme=record["scheme"],
        )


@dataclass(frozen=True, slots=True)
class AgeSpan:
    """Youngest and oldest possible age in completed years; they differ when the birth date is partial."""

    youngest: int
    oldest: int

    def top_coded(self) -> AgeSpan:
        """The same span with every age over 89 as 90, as it may be kept (45 CFR 164.514(b)(2)(i)(C))."""
        return AgeSpan(min(self.youngest, OLDEST_AGE_KEPT), min(self.oldest, OLDEST_AGE_KEPT))


OLDEST_AGE_KEPT = 90


@dataclass(frozen=True, slots=True, repr=False)
class Demographics(Mapping[str, Attribute]):
    """Every attribute the site collects, as it was at one moment; reads like a mapping by name.

    `age` is kept (top-coded at 90) so that other bands can be computed later. The birth date is not kept.
    """

    attributes: Mapping[str, Attribute]
    age: AgeSpan | None = None

    def __repr__(self) -> str:
        return f"Demographics({', '.join(self.attributes)})"

    def __getitem__(self, name: str) -> Attribute:
        return self.attributes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    def items(self) -> ItemsView[str, Attribute]:
        """Name and attribute, without the detour a mapping takes by default."""
        return self.attributes.items()

    def to_record(self) -> dict[str, Any]:
        """The JSON object the ledger keeps, by attribute; `age_band` holds `age_years` beside its members."""
        record = {name: attribute.to_record() for name, attribute in self.attributes.items()}
        if self.age is not None:
            record["age_band"]["age_years"] = [self.age.youngest, self.age.oldest]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Demographics:
        """What `to_record` wrote, for replay; `KeyError`, `TypeError` or `ValueError` for anything else."""
        years = record.get("age_band", {}).get("age_years")
        return cls(
            attributes={name: Attribute.from_record(attribute) for name, attribute in record.items()},
            age=AgeSpan(*years) if years is not None else None,
        )


def unrepeated(flags: Iterable[str]) -> tuple[str, ...]:
    """The flags in the order they were raised, each once."""
    return tuple(dict.fromkeys(flags)) if flags else ()

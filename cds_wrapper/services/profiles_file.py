"""What EHRs do differently, as settings: the shipped profiles, and what a client's entry may say itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, StringConstraints, field_validator, model_validator

import cds_wrapper
from cds_wrapper.cds_client import ClientProfile
from cds_wrapper.cross_origin import an_origin
from cds_wrapper.ehr.clients import MOST_AT_ONCE, KnownClient
from cds_wrapper.services.checking import validate
from cds_wrapper.services.fields import FileModel, Name, Span, Words
from cds_wrapper.services.yaml_files import read_document

PROFILES_FOLDER: Final = Path(cds_wrapper.__file__).with_name("ehr_profiles")
ProfileName = Literal["athenahealth", "epic", "generic", "oracle-health", "sandbox"]

LONGEST_LIFETIME: Final = timedelta(hours=1)
LONGEST_LEEWAY: Final = timedelta(minutes=5)

_TEST_PATIENT: Final = re.compile(r"[^|\s]+\|[^|*]*\*?")

Algorithm = Literal["ES256", "ES384", "PS384", "RS256", "RS384"]
PrefetchKey = Annotated[str, StringConstraints(min_length=1, max_length=100)]

_Settings = TypeVar("_Settings", bound="Habits")


def within(span: timedelta, limits: tuple[timedelta, timedelta], words: str) -> timedelta:
    """The span, or a mistake that says between which two it must lie."""
    if not limits[0] <= span <= limits[1]:
        raise ValueError(f"must be {words}.")
    return span


class Habits(FileModel):
    """The settings that a profile may give and an entry may override."""

    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = Field(
        ["ES384", "RS384"],
        description="Signatures accepted; none with a shared secret can be listed.",
    )
    longest_lifetime: Span = Field(
        LONGEST_LIFETIME, description="Longest time from `iat` to `exp`; at most `PT1H`."
    )
    leeway: Span = Field(
        timedelta(minutes=1), description="How far the two clocks may differ; at most `PT5M`."
    )
    typ_required: bool = Field(True, description="Whether a token's header must say `typ`: `JWT`.")
    prefetch_keys: dict[PrefetchKey, PrefetchKey] = Field(
        default_factory=dict,
        description="The EHR's prefetch key -> the service's, where people typed another one into the EHR.",
    )
    prefetch_keys_by_service: dict[Name, dict[PrefetchKey, PrefetchKey]] = Field(
        default_factory=dict,
        description="The same for single services, by id; such a map stands in the place of the general one.",
    )
    trigger_extension: Words | None = Field(
        None,
        description="Member of the request's `extension` that says what set the hook off; it is recorded.",
    )
    content_type_extension: Words | None = Field(
        None, description="Member of `card.extension` that tells this EHR how `detail` is written."
    )
    partial_acceptance: bool = Field(
        False, description="Whether the EHR understands `actionSelectionBehavior` (3.0 ballot)."
    )
    topic_state: bool = Field(
        False,
        description="Whether the caveat's state is appended to `source.topic.code`, for an EHR that remembers"
        " overrides by it.",
    )
    displayed: Literal["shown", "silent", "unknown"] | None = Field(
        None, description="Whether this EHR shows the cards; in the place of the service's own `displayed`."
    )
    test_patients: list[Words] = Field(
        default_factory=list,
        description="Identifiers of test patients: `system|value`, `system|` for any, `system|ZZ*` for those"
        " that begin so. They are recorded and never measured.",
    )
    origins: list[Words] = Field(
        default_factory=list,
        description="Origins of the pages that call from a browser, letter for letter: `https://ehr.example`.",
    )
    most_at_once: int = Field(
        MOST_AT_ONCE,
        ge=1,
        le=10_000,
        description="Calls of this client that are served at one time; one more is answered with 429.",
    )

    @field_validator("longest_lifetime")
    @classmethod
    def _a_lifetime(cls, span: timedelta) -> timedelta:
        return within(span, (timedelta(seconds=1), LONGEST_LIFETIME), "from `PT1S` to `PT1H`")

    @field_validator("leeway")
    @classmethod
    def _a_leeway(cls, span: timedelta) -> timedelta:
        return within(span, (timedelta(0), LONGEST_LEEWAY), "at most `PT5M`")

    @field_validator("prefetch_keys")
    @classmethod
    def _one_to_one(cls, keys: dict[str, str]) -> dict[str, str]:
        return _each_once(keys)

    @field_validator("prefetch_keys_by_service")
    @classmethod
    def _each_one_to_one(cls, services: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {service: _each_once(keys) for service, keys in services.items()}

    @field_validator("test_patients")
    @classmethod
    def _identifiers(cls, rules: list[str]) -> list[str]:
        if not all(_TEST_PATIENT.fullmatch(rule) for rule in rules):
            raise ValueError("needs `system|value`, `system|` for any value, or `system|ZZ*`.")
        return rules

    @field_validator("origins")
    @classmethod
    def _exact(cls, origins: list[str]) -> list[str]:
        return [an_origin(text) for text in origins]


def _each_once(keys: dict[str, str]) -> dict[str, str]:
    if len(set(keys.values())) < len(keys):
        raise ValueError("maps two keys to one: which of the two would count?")
    return keys


class ProfileFile(FileModel):
    """One EHR product: what its habits are set to, where that is known from, and what to know besides."""

    title: Words = Field(description="The product's name for people.")
    source: Words = Field(description="The public text that the settings were taken from, with its date.")
    anybody_can_sign: bool = Field(
        False, description="Whether its private key is public, so that its calls prove nothing."
    )
    tenant_expected: bool = Field(
        False,
        description="Whether one issuer signs for all hospitals, so that `tenants` must tell them apart.",
    )
    settings: Habits = Field(default_factory=Habits, description="Settings other than the usual ones.")
    notes: dict[str, Words] = Field(default_factory=dict, description="Setting -> why it is so.")
    tolerated: list[Words] = Field(default_factory=list, description="What it does differently, and we bear.")
    to_do: list[Words] = Field(default_factory=list, description="What its people have to do or to know.")

    @model_validator(mode="after")
    def _each_explained(self) -> ProfileFile:
        unexplained = self.settings.model_fields_set ^ set(self.notes)
        if unexplained:
            raise ValueError(f"needs a note for each setting and no other: {', '.join(sorted(unexplained))}.")
        return self


@cache
def profile_of(name: ProfileName) -> ProfileFile:
    """A shipped profile; it is part of the program, so a mistake in it is ours."""
    file = PROFILES_FOLDER / f"{name}.yaml"
    document, mistakes = read_document(file.name, file.read_bytes())
    profile, found = validate(document, ProfileFile) if document else (None, ())
    if profile is None or mistakes or found:
        raise AssertionError("; ".join(str(mistake) for mistake in (*mistakes, *found)))
    return profile


def with_profile(entry: _Settings, name: ProfileName) -> _Settings:
    """An entry with what its profile says wherever the entry itself says nothing; whole values, not parts."""
    usual = profile_of(name).settings
    given: Mapping[str, Any] = {key: getattr(usual, key) for key in usual.model_fields_set}
    own = entry.model_fields_set
    return entry.model_copy(update={key: value for key, value in given.items() if key not in own})


def client_profile(habits: Habits, name: ProfileName) -> ClientProfile:
    """The habits as the rest of the house reads them."""
    return ClientProfile(
        name=name,
        prefetch_keys=habits.prefetch_keys,
        service_keys=habits.prefetch_keys_by_service,
        trigger_extension=habits.trigger_extension,
        content_type_extension=habits.content_type_extension,
        partial_acceptance=habits.partial_acceptance,
        topic_state=habits.topic_state,
        displayed=habits.displayed,
        test_patients=frozenset(habits.test_patients),
    )


def client_of_profile(name: ProfileName) -> KnownClient:
    """A client that has nothing but its product's profile: what a new one would be like."""
    habits = with_profile(Habits(), name)
    return KnownClient(
        name=name,
        environment="test",
        algorithms=frozenset(habits.algorithms),
        longest_lifetime=habits.longest_lifetime,
        leeway=habits.leeway,
        type_required=habits.typ_required,
        profile=client_profile(habits, name),
        origins=frozenset(habits.origins),
        most_at_once=habits.most_at_once,
        anybody_can_sign=profile_of(name).anybody_can_sign,
    )

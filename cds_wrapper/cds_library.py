"""The hooks of the CDS Hooks Library: what a context holds, what must be there, what may be a prefetch token.

Hooks and fields are those of the library 1.0.1 and its continuous build of April 2026
(<https://cds-hooks.hl7.org/hooks/>). A hook that is not here is a site's own, named by reverse domain.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class Shape(enum.Enum):
    """The JSON form of a context field."""

    ID = "id"
    """A bare FHIR id; several clients write `Type/id`."""
    REFERENCE = "reference"
    """`Type/id` as text."""
    REFERENCES = "references"
    """A list of `Type/id`."""
    RESOURCE = "resource"
    RESOURCES = "resources"
    BUNDLE = "bundle"
    ANY = "any"
    """A field of a site's own hook: whatever it holds."""

    @property
    def in_words(self) -> str:
        """What a field of this form holds."""
        return _IN_WORDS[self]


_IN_WORDS: Final = {
    Shape.ID: "an id",
    Shape.REFERENCE: "`Type/id`",
    Shape.REFERENCES: "a list of `Type/id`",
    Shape.RESOURCE: "a FHIR resource",
    Shape.RESOURCES: "a list of FHIR resources",
    Shape.BUNDLE: "a Bundle",
    Shape.ANY: "anything",
}


class Status(enum.Enum):
    """How far the library has taken a hook."""

    TRIAL_USE = "trial use"
    DRAFT = "draft"
    DEPRECATED = "deprecated"


@dataclass(frozen=True, slots=True)
class ContextField:
    """One member of a hook's context; `token` says that a prefetch template may name it.

    `former` is what an earlier version of the hook called it, when it held one thing and no list of them.
    """

    name: str
    shape: Shape
    required: bool
    token: bool
    former: str | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook: `version` is that of its definition, `instead` what to use in place of a deprecated one."""

    name: str
    version: str
    maturity: int
    status: Status
    fields: tuple[ContextField, ...]
    instead: tuple[str, ...] = ()

    @property
    def tokens(self) -> frozenset[str]:
        """The fields that a template may hold as tokens: of those marked, the ones with a primitive value."""
        return frozenset(one.name for one in self.fields if one.token and one.shape is not Shape.REFERENCES)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that every call must bring."""
        return tuple(one.name for one in self.fields if one.required)


_LOCAL_HOOK: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-zA-Z0-9-]+){2,}")


def is_local_hook(hook: str) -> bool:
    """Whether a hook that the library does not know is at least named by reverse domain."""
    return _LOCAL_HOOK.fullmatch(hook) is not None


def _user(*, required: bool = True) -> ContextField:
    return ContextField("userId", Shape.REFERENCE, required, token=True)


_PATIENT: Final = ContextField("patientId", Shape.ID, required=True, token=True)


def _encounter(*, required: bool = False) -> ContextField:
    return ContextField("encounterId", Shape.ID, required, token=True)


def _own(
    name: str, shape: Shape, *, required: bool = True, token: bool = False, former: str | None = None
) -> ContextField:
    return ContextField(name, shape, required, token, former)


_USUAL: Final = (_user(), _PATIENT, _encounter())
_IN_ENCOUNTER: Final = (_user(), _PATIENT, _encounter(required=True))

_HOOKS: Final = (
    Hook("patient-view", "1.0", 5, Status.TRIAL_USE, _USUAL),
    Hook(
        "order-select",
        "1.0",
        4,
        Status.TRIAL_USE,
        (*_USUAL, _own("selections", Shape.REFERENCES), _own("draftOrders", Shape.BUNDLE)),
    ),
    Hook("order-sign", "1.0", 5, Status.TRIAL_USE, (*_USUAL, _own("draftOrders", Shape.BUNDLE))),
    Hook(
        "order-dispatch",
        "1.1",
        0,
        Status.TRIAL_USE,
        (
            _PATIENT,
            _own("dispatchedOrders", Shape.REFERENCES, token=True, former="order"),
            _own("performer", Shape.REFERENCE, token=True),
            _own("fulfillmentTasks", Shape.RESOURCES, required=False, former="task"),
        ),
    ),
    Hook("appointment-book", "1.0", 1, Status.TRIAL_USE, (*_USUAL, _own("appointments", Shape.BUNDLE))),
    Hook("encounter-start", "1.0", 1, Status.TRIAL_USE, _IN_ENCOUNTER),
    Hook("encounter-discharge", "1.0", 1, Status.TRIAL_USE, _IN_ENCOUNTER),
    Hook(
        "allergyintolerance-create",
        "0.1.0",
        1,
        Status.DRAFT,
        (*_USUAL, _own("allergyIntolerance", Shape.RESOURCE)),
    ),
    Hook("problem-list-item-create", "0.1.0", 1, Status.DRAFT, (*_USUAL, _own("conditions", Shape.BUNDLE))),
    Hook(
        "medication-refill",
        "0.1.0",
        1,
        Status.DRAFT,
        (_user(required=False), _PATIENT, _encounter(), _own("medications", Shape.BUNDLE)),
    ),
    Hook("medication-verify", "0.1.0", 1, Status.DRAFT, (*_USUAL, _own("medication", Shape.RESOURCE))),
    Hook(
        "medication-prescribe",
        "1.0",
        2,
        Status.DEPRECATED,
        (*_USUAL, _own("medications", Shape.BUNDLE)),
        instead=("order-select", "order-sign"),
    ),
    Hook(
        "order-review",
        "1.0",
        3,
        Status.DEPRECATED,
        (*_USUAL, _own("orders", Shape.BUNDLE)),
        instead=("order-sign",),
    ),
)

HOOKS: Final[Mapping[str, Hook]] = {hook.name: hook for hook in _HOOKS}
"""Every hook of the library by its name."""

BALLOT: Final = "3.0.0-ballot"
"""The version of CDS Hooks that a service names whose EHRs read the ballot; others know no such member."""


def hook_version(hook: str) -> str | None:
    """The version of a hook's definition; a local hook has none that is known here."""
    known = HOOKS.get(hook)
    return known.version if known else None


USER_TOKENS: Final = ("userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId")
"""Tokens beside the context's: the id of the user, when the user is of that type."""

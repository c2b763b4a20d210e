"""What a service's score is held against: declared outcomes, and which prediction stands for an episode."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta


class OutcomeKind(enum.Enum):
    """What is known of each episode in the end: whether it happened, how often, or how much it cost."""

    BINARY = "binary"
    COUNT = "count"
    COST = "cost"


class Role(enum.Enum):
    """What the model was trained on, or what it is used for; the two may differ."""

    LABEL = "label"
    NEED = "need"


class EpisodeKind(enum.Enum):
    """What predictions about one patient belong together: an encounter, or the horizon of the first."""

    ENCOUNTER = "encounter"
    HORIZON = "horizon"


class Index(enum.Enum):
    """Which prediction stands for an episode. The maximum looks ahead: it is not calibrated by design."""

    FIRST = "first"
    FIRST_FLAGGED = "first_flagged"
    MAXIMUM = "maximum"


@dataclass(frozen=True, slots=True)
class EpisodeRule:
    """How predictions become episodes."""

    kind: EpisodeKind = EpisodeKind.HORIZON
    index: Index = Index.FIRST


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes an element may have: `exact` as they stand, `beginnings` with anything behind them.

    A classification such as ICD-10 is read by its beginnings: hospitals record its finest codes.
    """

    exact: frozenset[str]
    beginnings: tuple[str, ...] = ()

    @classmethod
    def written(cls, *codes: str) -> Codes:
        """As files write them: with `*` behind a beginning."""
        whole = frozenset(code for code in codes if not code.endswith("*"))
        return cls(whole, tuple(code[:-1] for code in codes if code.endswith("*")))

    def have_any_of(self, found: Iterable[str]) -> bool:
        """Whether one of the codes found is among these."""
        return any(code in self.exact or code.startswith(self.beginnings) for code in found)


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """Which FHIR resources are events: a type, and codes or texts that elements of it must or must not have.

    `where` and `unless` go from an element (`class`, `priority`, `code`) to what it may be, as `system|code`
    or the bare code. `at` are the elements with the moment, the first that is there. `above` is a number that
    `value` must exceed; for a count or a cost `value` is what is added up.
    """

    resource: str
    where: Mapping[str, Codes]
    unless: Mapping[str, Codes]
    at: tuple[str, ...]
    value: str | None = None
    above: float | None = None


@dataclass(frozen=True, slots=True)
class TableRule:
    """Which columns of a table say what; None for one it does not have.

    `at` is the event's moment: a table with it alone has a row per event. With `state` (or `label`, 1 or 0)
    it has a row per case, and says of each what became of it. `patient_system` is the system of the
    identifier in `patient`, as the prediction's `patient_key` is made from.
    """

    patient: str | None = None
    patient_system: str | None = None
    encounter: str | None = None
    encounter_system: str | None = None
    prediction: str | None = None
    at: str | None = None
    label: str | None = None
    state: str | None = None
    reason: str | None = None
    value: str | None = None
    known_on: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the score predicts, or is used for; `horizon` is an ISO 8601 duration, as `P10Y`.

    An event earlier than `lead_time` after the index prediction does not count as one: it was under way.
    `known_bias` says what the definition itself gets wrong, `verified_by` how a case is told from none.
    `death_competes`: whoever dies without the event before the horizon is over is censored. With `tested_by`
    nobody is without the event whom no test within the horizon found to be.
    """

    name: str
    phrase: str
    horizon: str
    kind: OutcomeKind = OutcomeKind.BINARY
    role: Role = Role.LABEL
    lead_time: timedelta = field(default=timedelta(0))
    known_bias: str | None = None
    verified_by: str | None = None
    events: tuple[ResourceRule, ...] = ()
    tested_by: tuple[ResourceRule, ...] = ()
    death: bool = False
    death_competes: bool = True
    table: TableRule | None = None

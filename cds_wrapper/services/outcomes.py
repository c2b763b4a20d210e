"""What a service's score is held against: declared outcomes, and which prediction stands for an episode."""

from __future__ import annotations

import enum
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
class Outcome:
    """What the score predicts, or is used for; `horizon` is an ISO 8601 duration, as `P10Y`.

    An event earlier than `lead_time` after the index prediction does not count as one: it was under way.
    `known_bias` says what the definition itself gets wrong, `verified_by` how a case is told from none.
    """

    name: str
    phrase: str
    horizon: str
    kind: OutcomeKind = OutcomeKind.BINARY
    role: Role = Role.LABEL
    lead_time: timedelta = field(default=timedelta(0))
    known_bias: str | None = None
    verified_by: str | None = None

"""What is known about one version of one model: statements, rules, training population, figures.

The shape follows the Coalition for Health AI's Applied Model Card and the source attributes of HTI-1
(45 CFR 170.315(b)(11)(iv)(B)); the structured figures by patient group are our own, since neither has any.
These are values without behaviour: `outside` and `local` judge them, `evidence` makes a book of them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Where: TypeAlias = Mapping[str, tuple[str, ...]]
"""Groups by attribute: every key must hold, several levels mean any of them, empty is everybody."""


class State(enum.Enum):
    """Whether something is said, and if not, why not."""

    REPORTED = "reported"
    NOT_REPORTED = "not_reported"
    NOT_AVAILABLE = "not_available"
    NOT_APPLICABLE = "not_applicable"


class Metric(enum.Enum):
    """What can be measured; a closed list."""

    AUROC = "auroc"
    AUPRC = "auprc"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    PPV = "ppv"
    NPV = "npv"
    BRIER = "brier"
    CALIBRATION_SLOPE = "calibration_slope"
    OE_RATIO = "oe_ratio"
    ALERT_RATE = "alert_rate"

    @property
    def needs_threshold(self) -> bool:
        """Whether the figure is measured at one score and speaks only there."""
        return self in _AT_A_THRESHOLD


_AT_A_THRESHOLD = frozenset(
    {Metric.SENSITIVITY, Metric.SPECIFICITY, Metric.PPV, Metric.NPV, Metric.ALERT_RATE}
)


class EvidenceSource(enum.Enum):
    """Who measured: the developer on data of its own, somebody elsewhere, or this hospital."""

    DEVELOPMENT = "development"
    EXTERNAL = "external"
    LOCAL = "local"


class IntervalKind(enum.Enum):
    """What two limits beside an estimate are: confidence limits, a spread over studies, or +/- 1 error."""

    CONFIDENCE = "ci"
    INTERQUARTILE = "iqr"
    ERROR = "se"


@dataclass(frozen=True, slots=True)
class Stated:
    """One descriptive field: what is said and where, or that nothing is."""

    state: State
    value: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """One metric for one group from one source: value, interval, n, period; or that none is given.

    `where` matches races alone or in combination unless `exclusive`. An `oe_ratio` is events observed
    over events expected; with `reference` "rest" it is the group's over that of the others in the same study.
    `data_ended` is the year of the last data. `earlier_version` marks a figure for a former version of
    the model, `other_setting` one from another country or kind of care. `gap_low` is the one-sided 95 % lower
    limit of this group's gap to the rest, where it was computed. `who` names the people studied.
    """

    id: str
    metric: Metric
    source: EvidenceSource
    outcome: str
    horizon: str
    where: Where = field(default_factory=dict)
    state: State = State.REPORTED
    exclusive: bool = False
    estimate: float | None = None
    ci: tuple[float, float] | None = None
    interval_kind: IntervalKind = IntervalKind.CONFIDENCE
    level: float = 0.95
    n: int | None = None
    positives: int | None = None
    threshold: float | None = None
    data_ended: int | None = None
    reference: str | None = None
    earlier_version: bool = False
    other_setting: bool = False
    gap_low: float | None = None
    who: str | None = None
    as_reported: str | None = None
    method: str | None = None
    period: str | None = None
    note: str | None = None
    cite: str | None = None

    @property
    def group(self) -> tuple[bool, tuple[tuple[str, tuple[str, ...]], ...]]:
        """The group as something that can be sorted and compared, whatever order it was written in."""
        keys = ((name, tuple(sorted(levels))) for name, levels in self.where.items())
        return self.exclusive, tuple(sorted(keys))


@dataclass(frozen=True, slots=True)
class OutOfScopeRule:
    """Patients the developer advises against scoring; `say` fits "advises against this score for"."""

    where: Where
    say: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingGroup:
    """How much of the training data one group was; a share of 0 says that nobody of it was there."""

    where: Where
    state: State = State.REPORTED
    n: int | None = None
    share: float | None = None
    as_reported: str | None = None
    cite: str | None = None

    @property
    def nobody(self) -> bool:
        """Whether the group is known to be absent, which is another thing than not being mentioned."""
        return self.state is State.REPORTED and (self.share == 0 or self.n == 0)


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input of the model, and whether it is a characteristic of the person.

    `doubted_codes` are those, as `system|code`, under which it is not what the model was made for.
    """

    name: str
    is_demographic: bool
    fhir_path: str | None = None
    doubted_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredLessWell:
    """A group in which an input is measured less accurately, and what that does to the score.

    `input` is the input's name on the card; `direction` is `scores_too_low`, `scores_too_high` or None;
    `recheck` is a sentence of at most 12 words; `id` is unique within the card.
    """

    id: str
    input: str
    where: Where
    direction: str | None = None
    recheck: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One version of one model as its developer and others describe it.

    `digest` is `sha256:` and the SHA-256 of the file it was read from: a plan that lists it has signed the
    card. `facts` are the descriptive fields by dotted key (`purpose.intended_use`), each with its state.
    """

    id: str
    version: str
    name: str
    developer: str
    digest: str
    facts: Mapping[str, Stated] = field(default_factory=dict)
    out_of_scope: tuple[OutOfScopeRule, ...] = ()
    training: tuple[TrainingGroup, ...] = ()
    inputs: tuple[ModelInput, ...] = ()
    measured_less_well: tuple[MeasuredLessWell, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    outcome_studies: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def doubted_codes(self) -> frozenset[str]:
        """Every code under which an input is not what the model was made for."""
        return frozenset(code for one in self.inputs for code in one.doubted_codes)

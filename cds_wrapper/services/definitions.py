"""A CDS service as the rest of the house sees it: checked, immutable, with all that decides beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from cds_wrapper.caveats.evidence import EvidenceBook, LocalEvidence, ModelCard, build_book
from cds_wrapper.caveats.passage import CardPolicy
from cds_wrapper.caveats.plan import OnError, ResponsePlan
from cds_wrapper.caveats.policy import CaveatPolicy
from cds_wrapper.caveats.score_card import ScoreCard
from cds_wrapper.caveats.wording import ServiceWords, Wording
from cds_wrapper.errors import Mistake
from cds_wrapper.ledger.entries import KeptFile
from cds_wrapper.patient.demographics import BesideKeys, DemographicRules, PlaceRules
from cds_wrapper.patient.subgroups import SubgroupScheme, possible_groups
from cds_wrapper.remembered import Remembered
from cds_wrapper.services.outcomes import EpisodeRule, Outcome
from cds_wrapper.services.own_keys import OwnQuery
from cds_wrapper.vendors.cds_hooks import MissingInputs
from cds_wrapper.vendors.features import FeatureReader
from cds_wrapper.vendors.guard import GuardPolicy
from cds_wrapper.vendors.in_process import PythonCall
from cds_wrapper.vendors.open_inference import InferenceModel
from cds_wrapper.vendors.question import Forwarding
from cds_wrapper.vendors.rest_json import RestForm
from cds_wrapper.vendors.score import NO_FLAGS, FlagPaths, ModelPath, ScorePath
from cds_wrapper.vendors.score_only import Inputs


@dataclass(frozen=True, slots=True)
class Authentication:
    """How our calls are signed; `secret` is where it is found, and never the secret itself.

    `member` is the key of the file that names it, and tells a key of ours from a secret we were given.
    """

    kind: Literal["jwt", "bearer", "api_key", "oauth2"]
    secret: str
    member: Literal["key", "token", "secret"]
    algorithm: str
    issuer: str | None = None
    audience: str | None = None
    tenant: str | None = None
    header: str = ""
    token_url: str | None = None
    client_id: str = ""
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class VendorTLS:
    """Files for mutual TLS, by path; `ca` replaces every other authority for this vendor."""

    certificate: str | None
    key: str | None
    ca: str | None


@dataclass(frozen=True, slots=True)
class VendorOffer:
    """Where and how often a vendor's own list of services is read, and whether its templates join ours."""

    url: str
    service: str
    every: timedelta
    joins: bool


Asking = InferenceModel | RestForm | PythonCall | Mapping[str, Any]
"""What one protocol adds; of an adapter that another package brings, what the file has under `options`."""


@dataclass(frozen=True, slots=True)
class VendorConfig:
    """Whom to ask, what it is told and how to read the answer; `hook` is the name it knows the hook by.

    `url` is where it is asked, the model's own address on its server. `stand_ins` are what a model is sent
    for an input without a value.
    """

    protocol: str
    url: str
    developer: str
    hook: str
    keys: frozenset[str]
    score: ScorePath | None
    model: ModelPath
    missing: MissingInputs | None
    context: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    unknown_user: str | None = None
    same_instance: bool = False
    authentication: Authentication | None = None
    tls: VendorTLS | None = None
    offer: VendorOffer | None = None
    feedback: str | None = None
    guard: GuardPolicy = field(default_factory=GuardPolicy)
    asking: Asking = field(default_factory=dict)
    stand_ins: Inputs = field(default_factory=dict)
    flags: FlagPaths = NO_FLAGS

    @property
    def forwarding(self) -> Forwarding:
        """What leaves us for this vendor."""
        return Forwarding(
            hook=self.hook,
            keys=self.keys,
            context=self.context,
            extensions=self.extensions,
            unknown_user=self.unknown_user,
            same_instance=self.same_instance,
        )


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score from which something happens, in the recorded unit."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Band:
    """A range of scores with one name; `below` is where the next begins, None for the last.

    `lifted_by` are flags of the vendor's answer with which a score has at least this band.
    """

    id: str
    below: float | None
    lifted_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The identifier systems the warehouse keys by, in order of preference."""

    patient: tuple[str, ...]
    encounter: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileVersions:
    """Digest of every file that decided, as `sha256:` and 64 hex digits of the SHA-256 over its bytes.

    A comment or a blank changes it: a signature is on the file, not on what a program makes of it.
    """

    service: str
    card: str
    subgroups: str
    plan: str
    wording: str


def short(digest: str) -> str:
    """The six digits that version columns hold."""
    return digest.removeprefix("sha256:")[:6]


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """One CDS service, made from the four files of its folder and the shipped wording.

    `prefetch` is what discovery asks for: the vendor's keys, and behind them those of `own_queries`, which
    are the wrapper's and reach the vendor only if it asked the same. `own_keys` are those that only the
    wrapper asks for, `beside_keys` those under which it reads. `places` is None when no Encounter is read
    for them. With `ballot` its EHRs read CDS Hooks 3.0. `features` is None for a vendor that reads FHIR
    itself. `score_card` is None for one that speaks cards. `further_outcomes` are held against the score
    beside `outcome`, which it was made for.
    """

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str | None
    ballot: bool
    contact: str
    outcome: Outcome
    prefetch: Mapping[str, str]
    patient_key: str
    time_budget: timedelta
    ledger_reserve: timedelta
    vendor: VendorConfig
    thresholds: tuple[Threshold, ...]
    bands: tuple[Band, ...]
    identifiers: Identifiers
    on_vendor_failure: OnError
    displayed: str
    own_queries: tuple[OwnQuery, ...]
    own_keys: frozenset[str]
    beside_keys: BesideKeys
    places: PlaceRules | None = field(repr=False)
    cards: CardPolicy
    rules: DemographicRules = field(repr=False)
    scheme: SubgroupScheme = field(repr=False)
    card: ModelCard = field(repr=False)
    plan: ResponsePlan = field(repr=False)
    policy: CaveatPolicy = field(repr=False)
    wording: Wording = field(repr=False)
    words: ServiceWords = field(repr=False)
    book: EvidenceBook = field(repr=False)
    versions: FileVersions
    files: tuple[KeptFile, ...] = field(repr=False)
    features: FeatureReader | None = field(default=None, repr=False)
    score_card: ScoreCard | None = field(default=None, repr=False)
    episodes: EpisodeRule = field(default_factory=EpisodeRule)
    further_outcomes: tuple[Outcome, ...] = ()
    remembered: Remembered[Any] = field(default_factory=Remembered, init=False, repr=False, compare=False)
    """What was decided from these files about patients of the same groups; another edition begins anew."""

    @property
    def threshold(self) -> float | None:
        """The score from which a patient is flagged: the first threshold listed."""
        return self.thresholds[0].at if self.thresholds else None

    @property
    def record_keys(self) -> frozenset[str]:
        """The prefetch keys a record needs by itself: the Patient, and what we ask for beside it."""
        return frozenset({self.patient_key, *(query.key for query in self.own_queries)})

    def with_book(self, book: EvidenceBook) -> ServiceDefinition:
        """The same service with another edition of its evidence, which is kept beside the files."""
        others = tuple(file for file in self.files if file.kind != EDITION)
        return replace(self, book=book, files=(*others, kept_edition(book)))

    def edition_with(self, local: LocalEvidence | None) -> EvidenceBook:
        """The edition that these files and a review of this hospital make together."""
        contents = self.book.contents
        groups = {name: possible_groups(self.rules, name) for name in self.scheme.attributes}
        return build_book(
            self.card,
            self.scheme,
            contents.question,
            self.plan.approved_cards,
            contents.elsewhere_as_of,
            self.plan.limits,
            groups,
            local,
        )

    def band_of(self, score: float | None, flags: Collection[str] = ()) -> str | None:
        """The name of the range a score falls into, or of one above that a flag of the answer lifts it to.

        None without a score or without bands.
        """
        if score is None:
            return None
        falls = next(
            (place for place, b in enumerate(self.bands) if b.below is None or score < b.below), None
        )
        if falls is None:
            return None
        lifted = (place for place, band in enumerate(self.bands) if not band.lifted_by.isdisjoint(flags))
        return self.bands[max(falls, *lifted, falls)].id

    def may_lie_in(self, band: str | None, score: float | None) -> bool:
        """Whether a record may say so of a score: no record says which flags an answer carried."""
        flags = [flag for one in self.bands for flag in one.lifted_by]
        return band in {self.band_of(score), *(self.band_of(score, (flag,)) for flag in flags)}


EDITION = "edition"
"""The kind under which an edition of evidence is kept beside the files it was made from."""


def kept_edition(book: EvidenceBook) -> KeptFile:
    """An edition as the ledger keeps it."""
    return KeptFile(book.digest, EDITION, book.edition, book.to_json())


@dataclass(frozen=True, slots=True)
class ServiceCatalog:
    """Every service of this site, in the order of their folders, and what is worth a second look in them."""

    services: tuple[ServiceDefinition, ...] = ()
    warnings: tuple[Mistake, ...] = ()

    def __iter__(self) -> Iterator[ServiceDefinition]:
        return iter(self.services)

    def __len__(self) -> int:
        return len(self.services)

    def with_book(self, book: EvidenceBook) -> ServiceCatalog:
        """The same services, those of the book's id with this edition of their evidence."""
        services = (one.with_book(book) if one.id == book.service_id else one for one in self.services)
        return replace(self, services=tuple(services))

    def of(self, service_id: str) -> tuple[ServiceDefinition, ...]:
        """The services of one id, one for each hook; none when the id is unknown."""
        return tuple(service for service in self.services if service.id == service_id)

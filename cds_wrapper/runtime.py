"""What a request meets: everything that outlives it, its own id and deadline, and what goes back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from cds_wrapper import log
from cds_wrapper.afterwards import Afterwards
from cds_wrapper.caveats.caveat import Disposition
from cds_wrapper.caveats.evidence import EvidenceBook
from cds_wrapper.caveats.orders import Order, Ordered, Standing
from cds_wrapper.cds import Action, Card, CDSResponse, encode, outcome
from cds_wrapper.ehr.reads import FHIRReader
from cds_wrapper.ehr.suggested import ResourceCheck
from cds_wrapper.ledger.pseudonyms import Pseudonyms
from cds_wrapper.ledger.record import Life, Spent
from cds_wrapper.ledger.store import Ledger
from cds_wrapper.ledger.stream import PredictionStream
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.outbound import Deadline
from cds_wrapper.services import ServiceCatalog, ServiceDefinition
from cds_wrapper.services.definitions import kept_edition
from cds_wrapper.traces.pieces import Tracer
from cds_wrapper.vendors.base import ORDERS_UNKNOWN, PROCESS_FULL, NotAsked, Status, Vendor

HungUp = Callable[[], Awaitable[bool]]
"""Asks whether the EHR has closed the connection."""

WRITE_OUT = timedelta(milliseconds=10)
"""Kept back of a time budget for writing the answer out once everything is decided and recorded."""


class OrdersInForce:
    """The last order about each service as this process knows it; replaced whole, and read without a lock.

    An order is lifted by a later one and by nothing else: a ledger that lacks it, or cannot be read, leaves
    it in force. A stricter one is followed whatever its date: clocks are set back, and ledgers put back.
    Until the orders could be read once, nobody knows them.
    """

    def __init__(self, orders: Mapping[str, Order] | None = None, *, are_known: bool = True) -> None:
        self._orders: Mapping[str, Order] = orders or {}
        self.are_known = are_known

    def of(self, service_id: str) -> Order | None:
        """The last order about a service; None when there never was one."""
        return self._orders.get(service_id)

    def follow(self, read: Mapping[str, Order]) -> tuple[Order, ...]:
        """Take over what the ledger holds; gives the orders that are new to this process."""
        known = self._orders
        new = tuple(order for name, order in read.items() if _is_news(order, known.get(name)))
        if new:
            self._orders = {**known, **{order.service_id: order for order in new}}
        self.are_known = True
        return new

    def states(self, catalog: ServiceCatalog, at: datetime) -> dict[str, Ordered]:
        """What each service is at that moment, by order or because its plan says it was never live."""
        return {service.id: self._state(service, at) for service in catalog}

    def _state(self, service: ServiceDefinition, at: datetime) -> Ordered:
        standing = service.plan.standing(self.of(service.id), at)
        if standing is None:
            return Ordered.LIVE
        return Ordered.STOP if standing.disposition is Disposition.STOP else Ordered.SHADOW


def _is_news(order: Order, known: Order | None) -> bool:
    if known is None or order.decision_id == known.decision_id:
        return known is None
    return order.since >= known.since or order.decision > known.decision


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a request meets that outlives it; built once, in `app`.

    `alarms` counts what an operator has to look at in what EHRs send, by the name of its event.
    `readers` are the ways to the FHIR servers of those clients whose settings allow reading, by name.
    With `https_only` (production) a card leads nowhere by plain http. `check_resource` judges FHIR resources
    that a vendor's actions hold; None where no service lets such actions through.
    """

    services: ServicesInForce
    vendors: Mapping[tuple[str, str], Vendor]
    ledger: Ledger
    pseudonyms: Pseudonyms
    namespace: str
    public_url: str
    extension_key: str
    new_id: Callable[[], UUID]
    log: log.OperatorLog
    stream: PredictionStream | None = None
    afterwards: Afterwards = field(default_factory=Afterwards)
    alarms: Counter[str] = field(default_factory=Counter)
    readers: Mapping[str, FHIRReader] = field(default_factory=dict)
    https_only: bool = False
    check_resource: ResourceCheck | None = None
    metrics: Metrics = field(default_factory=Metrics)
    tracer: Tracer | None = None
    orders: OrdersInForce = field(default_factory=OrdersInForce)

    def standing(self, service: ServiceDefinition, at: datetime) -> Standing | None:
        """What holds for a call of that moment by the orders in force now."""
        return service.plan.standing(self.orders.of(service.id), at)

    def vendor_for(
        self, service: ServiceDefinition, standing: Standing | None, *, is_over: bool = False
    ) -> Vendor:
        """Whom to ask: nobody while the service is stopped, or while it is not known whether it is.

        Nor for a call over the most that this process serves in full.
        """
        if standing is not None and standing.disposition is Disposition.STOP:
            return NotAsked(Status.STOPPED, service.vendor.model.configured)
        if not self.orders.are_known:
            return NotAsked(Status.ERROR, service.vendor.model.configured, ORDERS_UNKNOWN)
        if is_over:
            return NotAsked(Status.OVERLOADED, service.vendor.model.configured, PROCESS_FULL)
        return self.vendors[service.id, service.hook]


class ServicesInForce:
    """The services with their evidence; an edition is swapped whole, and a request keeps the one it met."""

    def __init__(self, catalog: ServiceCatalog) -> None:
        self.catalog = catalog

    async def publish(self, book: EvidenceBook, ledger: Ledger, within: timedelta) -> None:
        """Keep an edition in the ledger, then put it in force for the requests that come from now on.

        `LedgerUnavailable` when it cannot be kept within that time; then the last one stays in force.
        """
        await ledger.keep_files([kept_edition(book)], within)
        self.catalog = self.catalog.with_book(book)


@dataclass(slots=True)
class Call:
    """One call's id, deadline and stop-watch; the one thing about a request that changes.

    `life` is what is known of the patient, from the moment that it is known; `standing` what holds for the
    call by the orders in force. One that `is_over` is answered without asking anybody.
    """

    prediction_id: UUID
    deadline: Deadline
    hung_up: HungUp
    life: Life | None = None
    standing: Standing | None = None
    is_over: bool = False
    _started: float = field(default_factory=time.perf_counter)
    _answered: float | None = None
    _recorded: float | None = None

    @classmethod
    def begun(cls, prediction_id: UUID, budget: timedelta, trust_ms: float, hung_up: HungUp) -> Call:
        """A call whose time began before its caller was recognised, which took `trust_ms` milliseconds."""
        deadline = Deadline.after(budget).earlier(timedelta(milliseconds=trust_ms))
        return cls(prediction_id, deadline, hung_up, _started=time.perf_counter() - trust_ms / 1000)

    def vendor_has_answered(self) -> None:
        """From here on the time is spent on deciding."""
        self._answered = time.perf_counter()

    def has_been_recorded(self) -> None:
        """Here the stop-watch stops: its record is durable."""
        self._recorded = time.perf_counter()

    def spent(self) -> Spent:
        """How long the call has taken, and how much of it was spent on deciding."""
        now = time.perf_counter()
        decided = now - self._answered if self._answered is not None else 0.0
        return Spent(total_ms=(now - self._started) * 1000, decide_ms=decided * 1000)

    @property
    def elapsed(self) -> timedelta:
        """How long ago the call came in."""
        return timedelta(milliseconds=self.elapsed_ms)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the call came in, until its record is durable."""
        return ((self._recorded or time.perf_counter()) - self._started) * 1000

    @property
    def left(self) -> timedelta:
        """What is left for the record."""
        return self.deadline.earlier(WRITE_OUT).remaining

    @property
    def name(self) -> dict[str, str]:
        """How the operator log names the call."""
        return {"request_id": str(self.prediction_id)}


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """What goes back to the EHR: the status, its cards and the body as it is sent."""

    http_status: int
    cards: tuple[Card, ...]
    body: bytes

    def __repr__(self) -> str:
        return f"Reply({self.http_status}, {len(self.cards)} cards)"

    @classmethod
    def with_cards(cls, cards: tuple[Card, ...], system_actions: tuple[Action, ...] = ()) -> Reply:
        """A 200 with these cards; none is a legal answer."""
        return cls(200, cards, encode(CDSResponse(list(cards), list(system_actions) or None)))

    @classmethod
    def with_problem(cls, http_status: int, sentence: str) -> Reply:
        """An error status with one safe sentence."""
        return cls(http_status, (), outcome("transient", sentence))

"""Builds everything once, opens and closes it, and returns the ASGI application."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import FastAPI
from starlette.routing import BaseRoute

from cds_wrapper import __version__, log
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.cross_origin import Origins
from cds_wrapper.edition_watch import EditionWatch
from cds_wrapper.ehr.access import AccessMode, FHIRAccess
from cds_wrapper.ehr.backend import backend_tokens
from cds_wrapper.ehr.callers import Anybody, Callers, CertificateProxies, KnownCallers
from cds_wrapper.ehr.clients import KnownClients
from cds_wrapper.ehr.keys import KeyRing
from cds_wrapper.ehr.reads import FHIRReader
from cds_wrapper.ehr.replay import ReplayMemory
from cds_wrapper.ehr.suggested import ResourceCheck
from cds_wrapper.entrance import Entrance
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable, Mistake, WrapperError
from cds_wrapper.gauges import look_at
from cds_wrapper.in_flight import CallsInFlight
from cds_wrapper.ledger.cursor import CursorFile
from cds_wrapper.ledger.pseudonyms import Pseudonyms, new_keys_file, pseudonyms_from, read_keys
from cds_wrapper.ledger.sinks import FileSink, Sink, SocketSink
from cds_wrapper.ledger.store import SQLiteLedger
from cds_wrapper.ledger.stream import PredictionStream
from cds_wrapper.ledger.work import Committed
from cds_wrapper.log import caller_events, process_events
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.metrics.door import metrics_app
from cds_wrapper.metrics.looks import Space
from cds_wrapper.order_watch import OrderWatch
from cds_wrapper.outbound import Outbound
from cds_wrapper.pages.doors import door_routes
from cds_wrapper.pages.evidence import evidence_routes
from cds_wrapper.production import (
    colliding_paths,
    mapped_to_nothing,
    misplaced_origins,
    unsafe,
    unusable_certificates,
)
from cds_wrapper.review_watch import ReviewWatch
from cds_wrapper.routes import Doors
from cds_wrapper.runtime import OrdersInForce, Runtime, ServicesInForce
from cds_wrapper.services import ServiceCatalog, examine_clients, examine_services
from cds_wrapper.settings import Profile, Settings
from cds_wrapper.telling import watch_ledger
from cds_wrapper.traces.opening import open_tracer
from cds_wrapper.vendor_access import VendorAccess, examine_access, open_access, open_vendors
from cds_wrapper.vendor_feedback import start_feedback
from cds_wrapper.vendor_watch import VendorWatch

# A collection in the middle of a request costs more than the request; what lives on is frozen after start.
GC_THRESHOLD = (50_000, 50, 50)
KEEP_FILES_WITHIN = timedelta(seconds=10)
DEVELOPMENT_CLIENT = TrustedClient("development", issuer=None, tenant=None, environment="development")


def utc_now() -> datetime:
    """The moment a call comes in."""
    return datetime.now(UTC)


def create_app(
    settings: Settings,
    operator_log: log.OperatorLog,
    extra_routes: Sequence[BaseRoute] = (),
    clock: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The whole service as an ASGI application; nothing is opened before its lifespan starts.

    Raises `ConfigurationRefused` with every mistake in the settings or in hooks/.
    """
    catalog, clients, access = read_hospital_files(settings)
    services, orders = ServicesInForce(catalog), OrdersInForce()
    pseudonyms = pseudonyms_of(settings)
    doors = Doors(
        settings.certificate_header,
        settings.max_body_bytes,
        operator_log,
        clock,
        origins=origins_of(settings, clients),
        in_flight=CallsInFlight(settings.most_at_once),
    )
    app = Entrance(
        doors,
        title="cds-wrapper",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lambda app: lifespan(
            settings, operator_log, (services, orders), (clients, access), pseudonyms, doors
        ),
    )
    # A redirect would send patient data to whatever address the caller's Host header names.
    app.router.redirect_slashes = False
    pages = [*evidence_routes(lambda: services.catalog, orders.of), *door_routes()]
    app.state.metrics = metrics_app(doors.metrics)
    app.router.routes.extend([*doors.routes(), *access.routes(), *pages, *extra_routes])
    return app


@asynccontextmanager
async def lifespan(
    settings: Settings,
    operator_log: log.OperatorLog,
    in_force: tuple[ServicesInForce, OrdersInForce],
    peers: tuple[KnownClients | None, VendorAccess],
    pseudonyms: Pseudonyms,
    doors: Doors,
) -> AsyncIterator[None]:
    """Open the way out and the ledger, serve, then write out what is queued and close both."""
    (services, _), (clients, access) = in_force, peers
    operator_log.emit(
        process_events.PROCESS_STARTED, settings_digest=settings.digest(), profile=settings.profile.value
    )
    if settings.profile is Profile.DEVELOPMENT:
        operator_log.emit(process_events.DEVELOPMENT_PROFILE)
    async with AsyncExitStack() as stack:
        try:
            doors.callers = await open_callers(settings, clients, operator_log, stack)
            access = await open_access(access, services.catalog, settings, operator_log, stack)
            vendors = VendorWatch(services.catalog, access, settings, operator_log)
            stack.push_async_callback(vendors.close)
            await vendors.open()
            services.catalog = vendors.joined(services.catalog)
            readers = await open_readers(settings, clients, operator_log, doors.clock, stack)
            doors.runtime = await open_runtime(
                settings, operator_log, in_force, pseudonyms, readers, stack, access, doors.metrics
            )
            look_at(doors.metrics, doors.runtime, doors.in_flight, clients, DEVELOPMENT_CLIENT.name)
            doors.runtime.afterwards.is_alone = doors.in_flight.is_one_alone
            await start_feedback(services.catalog, access, settings, operator_log, stack)
        except WrapperError as error:
            operator_log.emit(process_events.SETTINGS_REFUSED, problem=error.sentence)
            raise
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        announce(operator_log, settings, doors.runtime)
        watch = asyncio.create_task(watch_ledger(doors.runtime.ledger, operator_log))
        space = Space(settings.ledger_path.parent)
        reviews = ReviewWatch(settings.ledger_path, services, operator_log, doors.clock)
        for one in (space, reviews):
            doors.metrics.look_at(one.look)
            one.looking.start()
        yield
        watch.cancel()
        space.looking.stop()
        reviews.looking.stop()
        doors.runtime.afterwards.do_all()
    operator_log.emit(process_events.PROCESS_STOPPED)


async def open_runtime(
    settings: Settings,
    operator_log: log.OperatorLog,
    in_force: tuple[ServicesInForce, OrdersInForce],
    pseudonyms: Pseudonyms,
    readers: Mapping[str, FHIRReader],
    stack: AsyncExitStack,
    access: VendorAccess,
    metrics: Metrics,
) -> Runtime:
    """Everything a request meets that outlives it, opened; `stack` closes it again in reverse order."""
    stream = stream_of(settings, operator_log)
    if stream is not None:  # closed after the ledger, which writes out its last rows when it closes
        stack.push_async_callback(stream.close)
    ledger = SQLiteLedger(
        settings.ledger_path, spool=settings.spool_path, on_commit=told_of_commits(metrics, stream)
    )
    await ledger.open()
    stack.push_async_callback(ledger.close)
    if stream is not None:
        stream.start()
        stack.push_async_callback(stream.let_go)
    services, orders = in_force
    watch = OrderWatch(settings.ledger_path, orders, operator_log)
    await watch.open()
    stack.push_async_callback(watch.close)
    editions = EditionWatch(settings.ledger_path, services, operator_log)
    await editions.open()
    catalog = services.catalog
    try:
        await ledger.keep_files([file for service in catalog for file in service.files], KEEP_FILES_WITHIN)
    except LedgerUnavailable:
        problem = (
            f"names {settings.ledger_path}, which cannot be written, and neither can the spool"
            f" {settings.spool_path}: is the disk full, or held by others?"
        )
        raise ConfigurationRefused(
            (Mistake("environment", None, None, "CDS_WRAPPER_LEDGER", problem),)
        ) from None
    editions.start(ledger)
    stack.push_async_callback(editions.close)
    return Runtime(
        services=services,
        vendors=await open_vendors(catalog, access, settings, operator_log, stack),
        ledger=ledger,
        pseudonyms=pseudonyms,
        namespace=settings.namespace,
        public_url=settings.public_url,
        extension_key=settings.extension_key,
        new_id=new_prediction_id,
        log=operator_log,
        stream=stream,
        readers=readers,
        https_only=settings.profile is Profile.PRODUCTION,
        check_resource=resource_check(catalog),
        metrics=metrics,
        tracer=open_tracer(settings.otel_endpoint, stack),
        orders=orders,
    )


def told_of_commits(
    metrics: Metrics, stream: PredictionStream | None
) -> Callable[[Sequence[Committed]], None]:
    """Who hears, in the ledger's thread, of what has come into it."""

    def told(batch: Sequence[Committed]) -> None:
        metrics.committed(batch)
        if stream is not None:
            stream.wake()

    return told


def resource_check(catalog: ServiceCatalog) -> ResourceCheck | None:
    """The check of resources in a vendor's actions; its models are loaded only where some may pass."""
    if not any(service.cards.lets_actions_through for service in catalog):
        return None
    check: ResourceCheck = importlib.import_module("cds_wrapper.fhir_models").fault_of
    return check


def stream_of(settings: Settings, operator_log: log.OperatorLog) -> PredictionStream | None:
    """The prediction stream the setting names, not started yet; None when it is off."""
    if settings.stream.lower() == "off":
        return None
    sink: Sink
    if "://" in settings.stream:
        sink, beside = SocketSink(settings.stream), settings.ledger_path
        cursor = beside.with_name(f"{beside.name}.stream-cursor")
    else:
        sink = FileSink(settings.stream_path, settings.stream_max_bytes, settings.stream_keep)
        cursor = sink.path.with_name(f"{sink.path.name}.cursor")
    return PredictionStream(settings.ledger_path, sink, CursorFile(cursor), operator_log)


def announce(operator_log: log.OperatorLog, settings: Settings, runtime: Runtime) -> None:
    """Say what is in force, so that two replicas can be compared."""
    for service in runtime.services.catalog:
        operator_log.emit(
            process_events.CONFIGURATION_LOADED,
            service_id=service.id,
            digest=service.versions.service,
            edition=service.book.edition,
        )
    operator_log.emit(
        process_events.PROCESS_READY,
        settings_digest=settings.digest(),
        services=[service.id for service in runtime.services.catalog],
        editions=[service.book.edition for service in runtime.services.catalog],
    )


def read_hospital_files(settings: Settings) -> tuple[ServiceCatalog, KnownClients | None, VendorAccess]:
    """The services, the EHRs that may call them and what we show their vendors.

    `ConfigurationRefused` lists every objection.
    """
    services, clients = examine_services(settings.hooks), examine_clients(settings.hooks)
    catalog = ServiceCatalog(services.services, services.warnings)
    access = examine_access(catalog, settings)
    refused = (
        *services.mistakes,
        *clients.mistakes,
        *colliding_paths(settings),
        *unusable_certificates(settings, clients.known),
        *misplaced_origins(settings, clients.known),
        *(mapped_to_nothing(catalog, clients.known) if not services.mistakes else ()),
        *unsafe(settings, catalog, clients),
        *access.mistakes,
    )
    if refused:
        raise ConfigurationRefused(refused)
    return catalog, clients.known, access


def origins_of(settings: Settings, clients: KnownClients | None) -> Origins:
    """The pages that may call, each with the clients whose answers it may read; in development any."""
    if clients is None:
        return Origins(dict.fromkeys(settings.listed_origins))
    listed = {origin for one in clients.clients for origin in one.origins}
    return Origins(
        {origin: frozenset(one.name for one in clients.clients if origin in one.origins) for origin in listed}
    )


async def open_callers(
    settings: Settings, clients: KnownClients | None, operator_log: log.OperatorLog, stack: AsyncExitStack
) -> Callers:
    """Whoever answers who is calling, opened; `stack` closes it again.

    Key sets are fetched over a pool of their own: an EHR that is slow to give them takes no connection away
    from a vendor.
    """
    if clients is None:
        operator_log.emit(caller_events.CALLERS_NOT_AUTHENTICATED)
        return Anybody(DEVELOPMENT_CLIENT)
    outbound = Outbound(str(settings.ca_bundle) if settings.ca_bundle else None)
    await outbound.open()
    stack.push_async_callback(outbound.close)
    memory = ReplayMemory(settings.replay_path, operator_log)
    memory.open()
    stack.callback(memory.close)
    ring = KeyRing(clients.clients, outbound, operator_log)
    stack.push_async_callback(ring.close)
    await ring.open()
    callers = KnownCallers(clients, ring, memory, CertificateProxies(settings.proxy_networks), operator_log)
    stack.callback(callers.close)
    operator_log.emit(
        caller_events.CLIENTS_LOADED,
        clients=[one.name for one in clients.clients],
        digest=clients.digest,
        discovery="open" if clients.open_discovery else "token",
    )
    return callers


async def open_readers(
    settings: Settings,
    clients: KnownClients | None,
    operator_log: log.OperatorLog,
    clock: Callable[[], datetime],
    stack: AsyncExitStack,
) -> Mapping[str, FHIRReader]:
    """The ways to the FHIR servers of those clients that allow reading.

    Each has a pool of its own: an EHR whose server hangs takes no connection from a vendor or another EHR.
    """
    listed = {one.name: one.fhir for one in clients.clients if one.fhir} if clients else _for_trying(settings)
    readers = {}
    for name, access in listed.items():
        outbound = Outbound(str(settings.ca_bundle) if settings.ca_bundle else None)
        await outbound.open()
        stack.push_async_callback(outbound.close)
        tokens = backend_tokens(name, access.backend, outbound, operator_log) if access.backend else None
        if tokens is not None:
            stack.push_async_callback(tokens.close)
        readers[name] = FHIRReader(access, outbound, settings.max_body_bytes, tokens, clock)
    return readers


def _for_trying(settings: Settings) -> dict[str, FHIRAccess]:
    """What anybody's calls may have read in development."""
    if settings.development_fhir is None:
        return {}
    servers = (settings.development_fhir.rstrip("/"),)
    access = FHIRAccess(servers, AccessMode.TOKEN, most_pages=5, within=timedelta(seconds=5))
    return {DEVELOPMENT_CLIENT.name: access}


def pseudonyms_of(settings: Settings) -> Pseudonyms:
    """The site's keys; development without a key file gets keys that end with the process."""
    if settings.pseudonym_keys is None:
        return pseudonyms_from(new_keys_file("ephemeral"), "ephemeral")
    return read_keys(settings.pseudonym_keys)


def new_prediction_id() -> UUID:
    """A UUIDv7 (RFC 9562, 5.7): sortable by time, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    value = (
        (milliseconds << 80)
        | (7 << 76)
        | ((noise >> 68 & 0xFFF) << 64)
        | (2 << 62)
        | (noise & ((1 << 62) - 1))
    )
    return UUID(int=value)

"""Builds everything once, opens and closes it, and returns the ASGI application."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import FastAPI
from starlette.routing import BaseRoute

from cds_wrapper import __version__, log
from cds_wrapper.cds import TrustedClient
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable, Mistake, WrapperError
from cds_wrapper.ledger.pseudonyms import Pseudonyms, new_keys_file, pseudonyms_from, read_keys
from cds_wrapper.ledger.store import SQLiteLedger
from cds_wrapper.outbound import Outbound
from cds_wrapper.pages.evidence import evidence_routes
from cds_wrapper.routes import REFUSALS, Doors
from cds_wrapper.runtime import Runtime, ServicesInForce
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.settings import Profile, Settings
from cds_wrapper.telling import watch_ledger
from cds_wrapper.vendors.base import Vendor
from cds_wrapper.vendors.cds_hooks import CDSHooksVendor

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
    refuse_what_is_unsafe(settings)
    services = ServicesInForce(load_services(settings.hooks))
    pseudonyms = pseudonyms_of(settings)
    doors = Doors(DEVELOPMENT_CLIENT, settings.max_body_bytes, operator_log, clock)
    app = FastAPI(
        title="cds-wrapper",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lambda app: lifespan(settings, operator_log, services, pseudonyms, doors),
    )
    # A redirect would send patient data to whatever address the caller's Host header names.
    app.router.redirect_slashes = False
    app.state.doors = doors
    app.router.routes.extend([*doors.routes(), *evidence_routes(lambda: services.catalog), *extra_routes])
    for kind in REFUSALS:
        app.add_exception_handler(kind, doors.refuse)
    return app


@asynccontextmanager
async def lifespan(
    settings: Settings,
    operator_log: log.OperatorLog,
    services: ServicesInForce,
    pseudonyms: Pseudonyms,
    doors: Doors,
) -> AsyncIterator[None]:
    """Open the way out and the ledger, serve, then write out what is queued and close both."""
    operator_log.emit(log.PROCESS_STARTED, settings_digest=settings.digest(), profile=settings.profile.value)
    if settings.profile is Profile.DEVELOPMENT:
        operator_log.emit(log.DEVELOPMENT_PROFILE)
    async with AsyncExitStack() as stack:
        try:
            doors.runtime = await open_runtime(settings, operator_log, services, pseudonyms, stack)
        except WrapperError as error:
            operator_log.emit(log.SETTINGS_REFUSED, problem=error.sentence)
            raise
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        announce(operator_log, settings, doors.runtime)
        watch = asyncio.create_task(watch_ledger(doors.runtime.ledger, operator_log))
        yield
        watch.cancel()
    operator_log.emit(log.PROCESS_STOPPED)


async def open_runtime(
    settings: Settings,
    operator_log: log.OperatorLog,
    services: ServicesInForce,
    pseudonyms: Pseudonyms,
    stack: AsyncExitStack,
) -> Runtime:
    """Everything a request meets that outlives it, opened; `stack` closes it again in reverse order."""
    outbound = Outbound(str(settings.ca_bundle) if settings.ca_bundle else None)
    await outbound.open()
    stack.push_async_callback(outbound.close)
    ledger = SQLiteLedger(settings.ledger_path)
    await ledger.open()
    stack.push_async_callback(ledger.close)
    catalog = services.catalog
    try:
        await ledger.keep_files([file for service in catalog for file in service.files], KEEP_FILES_WITHIN)
    except LedgerUnavailable:
        problem = (
            f"names {settings.ledger_path}, which cannot be written: is the disk full, or held by others?"
        )
        raise ConfigurationRefused(
            (Mistake("environment", None, None, "CDS_WRAPPER_LEDGER", problem),)
        ) from None
    return Runtime(
        services=services,
        vendors={(service.id, service.hook): vendor_of(service, settings, outbound) for service in catalog},
        ledger=ledger,
        pseudonyms=pseudonyms,
        namespace=settings.namespace,
        public_url=settings.public_url,
        extension_key=settings.extension_key,
        new_id=new_prediction_id,
        log=operator_log,
    )


def vendor_of(service: ServiceDefinition, settings: Settings, outbound: Outbound) -> Vendor:
    """The adapter for the protocol a service names; one arm per protocol."""
    match service.vendor.protocol:
        case "cds-hooks":
            return CDSHooksVendor(
                url=service.vendor.url,
                keys=service.vendor.keys,
                score=service.vendor.score,
                model=service.vendor.model,
                missing=service.vendor.missing,
                threshold=service.threshold,
                size_limit=settings.max_vendor_bytes,
                outbound=outbound,
            )
        case other:
            raise AssertionError(f"a protocol that `services` lets through and nobody speaks: {other}")


def announce(operator_log: log.OperatorLog, settings: Settings, runtime: Runtime) -> None:
    """Say what is in force, so that two replicas can be compared."""
    for service in runtime.services.catalog:
        operator_log.emit(
            log.CONFIGURATION_LOADED,
            service_id=service.id,
            digest=service.versions.service,
            edition=service.book.edition,
        )
    operator_log.emit(
        log.PROCESS_READY,
        settings_digest=settings.digest(),
        services=[service.id for service in runtime.services.catalog],
        editions=[service.book.edition for service in runtime.services.catalog],
    )


def refuse_what_is_unsafe(settings: Settings) -> None:
    """Production without authenticated callers is refused, in one sentence."""
    refused = unsafe(settings)
    if refused:
        raise ConfigurationRefused(refused)


def unsafe(settings: Settings) -> tuple[Mistake, ...]:
    """What `serve` refuses to start with, beyond settings and files that are wrong in themselves."""
    if settings.profile is Profile.DEVELOPMENT:
        return ()
    problem = (
        "is `production`, which needs trusted issuers, and this version cannot verify an EHR's token yet: set"
        " it to `development` to try the service without patients."
    )
    return (Mistake("environment", None, None, "CDS_WRAPPER_PROFILE", problem),)


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

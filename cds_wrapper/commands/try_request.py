"""`try`: send one saved hook call through the real corridor, vendor included, and record nothing."""

from __future__ import annotations

import asyncio
import difflib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cds_wrapper import log
from cds_wrapper.app import DEVELOPMENT_CLIENT, new_prediction_id, pseudonyms_of
from cds_wrapper.cds import CDSRequest, read_request
from cds_wrapper.commands.population import look, show
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, VENDOR_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, MalformedRequest, WrapperError
from cds_wrapper.invocation import answer
from cds_wrapper.ledger.entries import KeptFile, LedgerEntry
from cds_wrapper.ledger.feedback import FeedbackEntry
from cds_wrapper.ledger.work import FeedbackReceipt, LedgerHealth, Receipt
from cds_wrapper.runtime import Reply, Runtime, ServicesInForce
from cds_wrapper.services import ServiceCatalog, ServiceDefinition, load_services
from cds_wrapper.services.vendor_kinds import CDS_HOOKS, PYTHON
from cds_wrapper.settings import Settings, read_settings
from cds_wrapper.vendor_access import VendorAccess, examine_access, open_access, open_vendors
from cds_wrapper.vendors.base import Status

_TO_BE_PROBED: Final = frozenset(
    status.value for status in (Status.UNREACHABLE, Status.REFUSED, Status.FAILED, Status.UNREADABLE)
)


class NoLedger:
    """A ledger that keeps nothing but the last entry, in memory, for the command to speak of."""

    def __init__(self) -> None:
        self.entry: LedgerEntry | None = None

    async def append(
        self, entry: LedgerEntry, within: timedelta, if_late: Sequence[str] | None = None
    ) -> Receipt:
        """Remember the entry."""
        self.entry = entry
        return Receipt("try", 0, datetime.now(UTC), timedelta(0))

    async def append_feedback(self, entries: Sequence[FeedbackEntry], within: timedelta) -> FeedbackReceipt:
        """Nothing to do."""
        return FeedbackReceipt(0, 0, 0)

    async def keep_files(self, files: Sequence[KeptFile], within: timedelta = timedelta(0)) -> None:
        """Nothing to do."""

    @property
    def health(self) -> LedgerHealth:
        """Always there."""
        return LedgerHealth()


def command(
    service: Annotated[str, typer.Option(help="Id of the service to call.")],
    request: Annotated[Path | None, typer.Argument(help="A file with the JSON body of a hook call.")] = None,
    population: Annotated[
        Path | None,
        typer.Option(
            help="A folder or a file of FHIR resources: count the patients a score could be made for."
        ),
    ] = None,
    hooks: Annotated[Path | None, typer.Option(help="Folder with the services' files.")] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z"],
            help="Call as of this moment, such as 2026-06-30T12:00:00Z; without it, now, or with --population"
            " just after each patient's last record.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer and the record as one JSON object.")
    ] = False,
) -> None:
    """Call the vendor with a saved request and show the answer and what would be recorded. Records nothing.

    Orders (`stop`, `shadow`) play no part: this is how a repaired model is looked at before it is live again.

    With --population no vendor is asked: it counts for how many patients of your own records a score could be
    made, and says why not for the others. Nothing of any one patient is printed.

    \b
    Exit codes: 0 the vendor answered, 2 a file or setting is wrong, 3 no such service, 5 no usable answer.

    \b
    Example: python3 run.py try fixtures/requests/black-35.json --service cvd-risk
    """
    if request is None:
        count(population, service, hooks, at, as_json)
        return
    try:
        settings = read_settings()
        catalog = load_services(hooks or settings.hooks)
        call = read_request(_bytes(request), at or datetime.now(UTC))
    except WrapperError as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    chosen = _chosen(service, call.hook, catalog)
    access = examine_access([chosen], settings)
    if access.mistakes:
        tell(ConfigurationRefused(access.mistakes))
        raise typer.Exit(CONFIGURATION_EXIT)
    ledger = NoLedger()
    reply = asyncio.run(call_alone(call, chosen, catalog, settings, access, ledger))
    _show(reply, ledger, chosen, as_json)
    if (
        ledger.entry is None
        or ledger.entry["status"] not in {"answered", "no_cards"}
        or ledger.entry["reason"]
    ):
        raise typer.Exit(VENDOR_EXIT)


def _chosen(service_id: str, hook: str, catalog: ServiceCatalog) -> ServiceDefinition:
    """The service of that id for that hook; ends the command when there is none."""
    chosen = next((one for one in catalog.of(service_id) if one.hook == hook), None)
    if chosen is None:
        typer.echo(_no_such_service(service_id, catalog), err=True)
        raise typer.Exit(NOT_FOUND_EXIT)
    return chosen


def count(
    population: Path | None, service_id: str, hooks: Path | None, at: datetime | None, as_json: bool
) -> None:
    """Look into a population's records; exits as `command` does."""
    try:
        place = _readable(population)
        catalog = load_services(hooks or read_settings().hooks)
    except WrapperError as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    chosen = next(iter(catalog.of(service_id)), None)
    if chosen is None:
        typer.echo(_no_such_service(service_id, catalog), err=True)
        raise typer.Exit(NOT_FOUND_EXIT)
    tally, people = look(place, chosen, at)
    show(tally, people, chosen, place, as_json=as_json)


def _readable(population: Path | None) -> Path:
    if population is None:
        raise MalformedRequest("Name a file with a hook call, or `--population` and your records.")
    if not population.exists():
        raise MalformedRequest(f"{population}: there is no such file or folder.")
    return population


def _no_such_service(service: str, catalog: ServiceCatalog) -> str:
    """What there is instead of what was asked for."""
    if catalog.of(service):
        return f"Service `{service}` listens to another hook than the request's."
    near = difflib.get_close_matches(service, [one.id for one in catalog], n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    known = ", ".join(f"{one.id} on {one.hook}" for one in catalog) or "none"
    return f"There is no service `{service}`; there are: {known}.{hint}"


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MalformedRequest(
            f"{file}: the request file cannot be read: {error.strerror or type(error).__name__}."
        ) from None


async def call_alone(
    call: CDSRequest,
    service: ServiceDefinition,
    catalog: ServiceCatalog,
    settings: Settings,
    access: VendorAccess,
    ledger: NoLedger,
) -> Reply:
    """One call through the corridor, with its vendor opened for it alone."""
    async with AsyncExitStack() as stack:
        lines = log.OperatorLog("try", io.StringIO())  # what would be logged is said in the output
        alone = ServiceCatalog((service,))
        access = await open_access(access, alone, settings, lines, stack)
        runtime = Runtime(
            services=ServicesInForce(catalog),
            vendors=await open_vendors(alone, access, settings, lines, stack),
            ledger=ledger,
            pseudonyms=pseudonyms_of(settings),
            namespace=settings.namespace,
            public_url=settings.public_url,
            extension_key=settings.extension_key,
            new_id=new_prediction_id,
            log=lines,
        )
        return await answer(call, DEVELOPMENT_CLIENT, service, runtime, _still_there)


async def _still_there() -> bool:
    return False


def what_became(record: Mapping[str, Any], service: ServiceDefinition) -> str:
    """Whether the vendor was asked, and how that ended."""
    address, status = service.vendor.url or service.vendor.protocol, record.get("status")
    how = f": {status}" if status else ": no record could be made"
    http_status = record.get("vendor_http_status")
    why = record.get("reason") or (http_status not in (None, HTTPStatus.OK) and f"HTTP {http_status}")
    reason = f" ({why})" if why else ""
    is_asked = record.get("vendor_attempts") or service.vendor.protocol == PYTHON
    begun = f"Asked {address}" if is_asked else f"{address} was not asked"
    return f"{begun}{how}{reason}"


def _show(reply: Reply, ledger: NoLedger, service: ServiceDefinition, as_json: bool) -> None:
    response = json.loads(reply.body)
    record = ledger.entry.plain() if ledger.entry else {}
    if as_json:
        typer.echo(
            json.dumps(
                {"recorded": False, "http_status": reply.http_status, **response, "record": record}, indent=2
            )
        )
        return
    typer.echo(f"{what_became(record, service)}.")
    if record.get("status") in _TO_BE_PROBED and service.vendor.protocol != CDS_HOOKS:
        typer.echo("`check --probe` says what to mend.")
    typer.echo("Nothing was recorded. The EHR would receive:")
    for card in reply.cards:
        typer.echo(f"\n[{card.indicator}] {card.summary}\n\n{card.detail or ''}\n\n({card.source.label})")
    if not reply.cards:
        typer.echo("\nno card")
    typer.echo("\nThe record would hold:")
    for name, value in record.items():
        if value is not None and name != "demographics":
            typer.echo(f"  {name:<22} {value}")

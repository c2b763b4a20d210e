"""What `/metrics` looks at in the running application, beside what is counted as calls go by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from cds_wrapper.ehr.clients import KnownClients
from cds_wrapper.in_flight import CallsInFlight
from cds_wrapper.metrics import looks
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.runtime import Runtime, ServicesInForce
from cds_wrapper.services import ServiceCatalog
from cds_wrapper.vendors.guard import Guarded


def look_at(
    metrics: Metrics, runtime: Runtime, in_flight: CallsInFlight, clients: KnownClients | None, client: str
) -> None:
    """Have `/metrics` look at all of it; `client` is who calls where there is no list of them."""
    catalog = runtime.services.catalog
    metrics.expect(
        sorted({service.id for service in catalog}),
        [one.name for one in clients.clients] if clients else [client],
    )
    metrics.look_at(looks.of_ledger(lambda: runtime.ledger.health))
    metrics.look_at(looks.of_calls(in_flight.of_services))
    metrics.look_at(
        looks.of_services(lambda: runtime.orders.states(runtime.services.catalog, datetime.now(UTC)))
    )
    guarded = [vendor for vendor in runtime.vendors.values() if isinstance(vendor, Guarded)]
    metrics.look_at(looks.of_vendors(guarded))
    if runtime.stream is not None:
        stream = runtime.stream
        metrics.look_at(looks.of_stream(lambda: stream.health.lag_rows))
    digest = clients.digest if clients else ""
    metrics.look_at(looks.of_files(lambda: digest_of(runtime.services.catalog, digest)))
    metrics.look_at(looks.of_editions(lambda: editions_of(runtime.services)))
    metrics.look_at(looks.of_expiries(expiries_of(catalog)))


def digest_of(catalog: ServiceCatalog, clients: str) -> str:
    """A short digest of the hospital's files in force; `clients` is that of the EHRs' file."""
    files = sorted(file.digest for service in catalog for file in service.files)
    return hashlib.sha256("\n".join([clients, *files]).encode()).hexdigest()[:12]


def editions_of(services: ServicesInForce) -> Iterator[tuple[str, str]]:
    """Each service with the edition of evidence that it answers from."""
    for service in services.catalog:
        yield service.id, service.book.edition


def expiries_of(catalog: ServiceCatalog) -> Mapping[str, datetime]:
    """When the certificates end that we show to vendors, by service; of a chain, the first that does."""
    return {
        service.id: min(_ends_of(Path(service.vendor.tls.certificate)))
        for service in catalog
        if service.vendor.tls is not None and service.vendor.tls.certificate
    }


def _ends_of(chain: Path) -> list[datetime]:
    """The file was read before, by the library that uses it: it holds certificates."""
    return [one.not_valid_after_utc for one in x509.load_pem_x509_certificates(chain.read_bytes())]

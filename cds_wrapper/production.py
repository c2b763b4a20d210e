"""What the production profile needs before it serves anybody. Pure; every reason is given at once."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from cds_wrapper.ehr.clients import KeyAddress, KnownClient, KnownClients
from cds_wrapper.errors import Mistake
from cds_wrapper.services import CLIENTS_FILE, ExaminedClients, ServiceCatalog
from cds_wrapper.services.checking import nearest
from cds_wrapper.settings import Profile, Settings


def unsafe(settings: Settings, catalog: ServiceCatalog, clients: ExaminedClients) -> tuple[Mistake, ...]:
    """What `serve` refuses to start with, beyond settings and files that are wrong in themselves."""
    if settings.profile is Profile.DEVELOPMENT:
        return ()
    return (
        *(_callers(clients.known) if not clients.mistakes else ()),
        *_settings(settings),
        *_stream(settings),
        *_vendors(catalog),
    )


def colliding_paths(settings: Settings) -> tuple[Mistake, ...]:
    """A stream that would be written over, or rotated in place of, what the wrapper keeps elsewhere."""
    if settings.stream.lower() == "off" or "://" in settings.stream:
        return ()
    stream, ledger, spool = (
        path.resolve() for path in (settings.stream_path, settings.ledger_path, settings.spool_path)
    )
    others = [settings.replay_path.resolve()]
    if settings.pseudonym_keys is not None:
        others.append(settings.pseudonym_keys.resolve())
    is_the_ledgers = stream.parent == ledger.parent and stream.name.startswith(ledger.name)
    if not (is_the_ledgers or stream in others or spool in {stream, *stream.parents}):
        return ()
    problem = (
        f"names {stream}, which belongs to the ledger, the spool, the keys or the used tokens: name a file of"
        " its own."
    )
    return (_of_setting("STREAM", problem),)


def unusable_certificates(settings: Settings, clients: KnownClients | None) -> tuple[Mistake, ...]:
    """Clients that nobody could recognise, whatever the profile: no proxy may say who they are."""
    named = [one.name for one in clients.clients if one.certificate] if clients else []
    if not named or (settings.certificate_header and settings.proxy_networks):
        return ()
    problem = (
        f"needs CDS_WRAPPER_CERTIFICATE_HEADER and CDS_WRAPPER_PROXIES, since {', '.join(named)} is known by"
        " its certificate and a proxy has to say which one it showed."
    )
    return (Mistake(CLIENTS_FILE, None, None, "certificate", problem),)


def misplaced_origins(settings: Settings, clients: KnownClients | None) -> tuple[Mistake, ...]:
    """Pages that would be let in for nobody in particular, where each client has a list of its own."""
    if not settings.origins or (settings.profile is Profile.DEVELOPMENT and clients is None):
        return ()
    problem = "is for development without clients.yaml: list `origins` with the client there instead."
    return (_of_setting("ORIGINS", problem),)


def mapped_to_nothing(catalog: ServiceCatalog, clients: KnownClients | None) -> tuple[Mistake, ...]:
    """Keys that a client's prefetch keys are mapped to and no service asks for: slips of the pen."""
    found = (slip for one in (clients.clients if clients else ()) for slip in _slips(catalog, one))
    return tuple(
        Mistake(CLIENTS_FILE, None, None, "prefetch_keys", f"of {name} maps to `{key}`, which {whose}.", near)
        for name, key, whose, near in found
    )


def _slips(catalog: ServiceCatalog, client: KnownClient) -> Iterator[tuple[str, str, str, str | None]]:
    every = {key for service in catalog for key in service.prefetch}
    for key in client.profile.prefetch_keys.values():
        if key not in every:
            yield client.name, key, "no service asks for", nearest(key, every)
    for service_id, keys in client.profile.service_keys.items():
        asked = {key for service in catalog.of(service_id) for key in service.prefetch}
        for key in keys.values():
            if asked and key not in asked:
                yield client.name, key, f"{service_id} does not ask for", nearest(key, asked)


def _callers(clients: KnownClients | None) -> Iterator[Mistake]:
    if clients is None:
        problem = (
            "is missing, so anybody could call: name the EHRs that may (docs/how-to/trust-your-ehr.md), or"
            " set CDS_WRAPPER_PROFILE to `development` to try the service without patients."
        )
        yield Mistake(CLIENTS_FILE, None, None, "", problem)
        return
    if not any(one.environment == "production" for one in clients.clients):
        yield Mistake(CLIENTS_FILE, None, None, "clients", "names no EHR of the environment `production`.")
    for one in clients.clients:
        if one.anybody_can_sign:
            problem = f"of {one.name} has a private key that is public, so that anybody could call as it."
            yield Mistake(CLIENTS_FILE, None, None, "profile", problem)
        if isinstance(one.keys, KeyAddress) and not one.keys.url.startswith("https:"):
            problem = f"of {one.name} is plain http: whoever sits between could sign as this EHR."
            yield Mistake(CLIENTS_FILE, None, None, "keys.url", problem)
        yield from _reads(one)


def _reads(client: KnownClient) -> Iterator[Mistake]:
    if client.fhir is None:
        return
    named = [("fhir.servers", server) for server in client.fhir.servers]
    if client.fhir.backend is not None:
        named.append(("fhir.token_url", client.fhir.backend.token_url))
    for key, address in named:
        if not address.startswith("https:"):
            problem = f"of {client.name} is plain http: tokens and patient data would travel unprotected."
            yield Mistake(CLIENTS_FILE, None, None, key, problem)


def _settings(settings: Settings) -> Iterator[Mistake]:
    if settings.pseudonym_keys is None:
        problem = "is not set: without its keys no record could be linked to another, or to a patient."
        yield _of_setting("PSEUDONYM_KEYS", problem)
    if settings.development_fhir is not None:
        problem = "is for development: name the EHR's FHIR servers under `fhir` in `clients.yaml`."
        yield _of_setting("DEVELOPMENT_FHIR", problem)
    if not settings.public_url.startswith("https:"):
        problem = "is plain http: EHRs send patient data there, and tokens are made out to it."
        yield _of_setting("PUBLIC_URL", problem)


def _stream(settings: Settings) -> Iterator[Mistake]:
    """Health data leaves this machine over a network only through somebody who encrypts it."""
    parts = urlsplit(settings.stream)
    if parts.scheme == "tcp" and not _is_this_machine(parts.hostname or ""):
        problem = (
            "would send health data over the network unencrypted: name a file, a unix socket, or a forwarder"
            " on this machine that encrypts."
        )
        yield _of_setting("STREAM", problem)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _vendors(catalog: ServiceCatalog) -> Iterator[Mistake]:
    for service in catalog:
        vendor = service.vendor
        addresses = {
            "url": vendor.url or None,
            "discovery.url": vendor.offer.url if vendor.offer else None,
            "feedback": vendor.feedback,
            "authentication.token_url": vendor.authentication.token_url if vendor.authentication else None,
        }
        for key, address in addresses.items():
            if address is not None and not address.startswith("https:"):
                problem = "is plain http: patient data would travel unprotected."
                yield Mistake(f"{service.id}/service.yaml", None, None, f"vendor.{key}", problem)


def _of_setting(name: str, problem: str) -> Mistake:
    return Mistake("environment", None, None, f"CDS_WRAPPER_{name}", problem)

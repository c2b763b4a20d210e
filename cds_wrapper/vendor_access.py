"""How we show ourselves to vendors: keys, tokens and certificates, read once, and the adapters with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_wrapper.errors import Mistake
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import CONNECTIONS, ClientCertificate, Outbound
from cds_wrapper.own_tokens import TokenClient
from cds_wrapper.services import ServiceCatalog, ServiceDefinition, mistake_of
from cds_wrapper.services.definitions import Authentication, VendorConfig, VendorTLS
from cds_wrapper.settings import Settings
from cds_wrapper.signing import (
    Credential,
    OwnKey,
    Signer,
    UnusableSecret,
    published_set,
    read_api_key,
    read_own_keys,
    read_printable,
    read_secret,
    read_shared_token,
)
from cds_wrapper.vendor_kinds import build_vendor
from cds_wrapper.vendor_tokens import FetchedFor, open_tokens
from cds_wrapper.vendors.base import Lasting
from cds_wrapper.vendors.guard import Guarded
from cds_wrapper.vendors.peer import VendorPeer

KEY_SET_PATH: Final = "/.well-known/jwks.json"
_KEPT_BY_PEERS: Final = "public, max-age=3600"
_TOKEN_CONNECTIONS: Final = 2

_UNUSABLE_TLS: Final = (
    "names files that make no connection: is `certificate` the PEM of `key`, without a password, and is"
    " `ca` a PEM file of certificates?"
)

ServiceKey = tuple[str, str]
"""Id and hook of a service."""


@dataclass(frozen=True, slots=True)
class VendorAccess:
    """What our calls to the vendors are signed with, by service; `published` are the keys to verify it.

    `clients` are those whose tokens have to be fetched: `open_access` makes credentials of them.
    """

    credentials: Mapping[ServiceKey, Credential] = field(default_factory=dict)
    clients: Mapping[ServiceKey, TokenClient] = field(default_factory=dict)
    published: tuple[OwnKey, ...] = ()
    mistakes: tuple[Mistake, ...] = ()

    def of(self, service: ServiceDefinition) -> Credential | None:
        """The credential for a service's vendor; None when calls to it are not signed."""
        return self.credentials.get((service.id, service.hook))

    def routes(self) -> Iterator[Route]:
        """The published key set, when there is one (CDS Hooks 2.0.1, "Trusting CDS Clients"); open to all."""
        if self.published:
            content = published_set(self.published)

            async def key_set(_request: Request) -> Response:
                headers = {"cache-control": _KEPT_BY_PEERS}
                return Response(content, headers=headers, media_type="application/json")

            yield Route(KEY_SET_PATH, key_set, methods=["GET"])


def examine_access(catalog: Iterable[ServiceDefinition], settings: Settings) -> VendorAccess:
    """Read every secret that a service names; never raises for what is wrong with one."""
    credentials: dict[ServiceKey, Credential] = {}
    clients: dict[ServiceKey, TokenClient] = {}
    keys: list[OwnKey] = []
    mistakes: list[Mistake] = []
    for service in catalog:
        vendor = service.vendor
        if vendor.authentication is not None:
            try:
                shown, ours = _shown(vendor.authentication, settings)
                keys += ours
                if isinstance(shown, TokenClient):
                    clients[service.id, service.hook] = shown
                else:
                    credentials[service.id, service.hook] = shown
            except UnusableSecret as problem:
                member = vendor.authentication.member
                mistakes.append(_mistake(service, ("authentication", member), f"{problem}."))
        if vendor.tls is not None:
            mistakes += [_mistake(service, *found) for found in _unusable_tls(vendor.tls)]
    distinct = {str(published_set([key])): key for key in keys}.values()
    mistakes += _shared_names(distinct)
    return VendorAccess(credentials, clients, tuple(distinct), tuple(mistakes))


def _shown(one: Authentication, settings: Settings) -> tuple[Credential | TokenClient, tuple[OwnKey, ...]]:
    """What we show ourselves by, and the keys of ours that it takes to verify it; or `UnusableSecret`."""
    match one.kind:
        case "bearer":
            return read_shared_token(one.secret), ()
        case "api_key":
            return read_api_key(one.secret, one.header), ()
        case "oauth2" if one.member == "secret":
            return _client(one, read_printable(one.secret)), ()
        case "oauth2":
            ours = read_own_keys(one.secret)
            return _client(one, ours.signing(one.algorithm)), ours.keys
        case "jwt":
            return _signer(one, settings)


def _client(one: Authentication, proof: OwnKey | str) -> TokenClient:
    return TokenClient(one.token_url or "", one.client_id, proof, one.scope, one.audience)


def _signer(one: Authentication, settings: Settings) -> tuple[Signer, tuple[OwnKey, ...]]:
    ours = read_own_keys(one.secret)
    signer = Signer(
        key=ours.signing(one.algorithm),
        issuer=one.issuer or settings.public_url,
        key_address=f"{settings.public_url}{KEY_SET_PATH}",
        audience=one.audience,
        tenant=one.tenant,
    )
    return signer, ours.keys


def _unusable_tls(tls: VendorTLS) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the files of mutual TLS, found by using them."""
    if tls.key is not None:
        try:
            read_secret(tls.key)
        except UnusableSecret as problem:
            yield ("tls", "key"), f"{problem}."
            return
    try:
        _pool(tls, None)
    except (OSError, ValueError):
        yield ("tls",), _UNUSABLE_TLS


def _shared_names(keys: Iterable[OwnKey]) -> Iterator[Mistake]:
    """All our keys are published in one set, where a name must mean one key."""
    seen: set[str] = set()
    for key in keys:
        if str(key.kid) in seen:
            problem = f"holds a key named `{key.kid}`, and another key file holds another of that name."
            yield Mistake("service.yaml", None, None, "vendor.authentication.key", problem)
        seen.add(str(key.kid))


def _mistake(service: ServiceDefinition, path: tuple[str, ...], problem: str) -> Mistake:
    return mistake_of(service, ("vendor", *path), problem)


def _pool(tls: VendorTLS | None, ca_bundle: str | None, connections: int = CONNECTIONS) -> Outbound:
    """A pool of its own for a vendor's TLS; raises `OSError` (`ssl.SSLError` is one) for unusable files."""
    if tls is None:
        return Outbound(ca_bundle, connections=connections)
    shown = ClientCertificate(tls.certificate, tls.key) if tls.certificate and tls.key else None
    return Outbound(tls.ca or ca_bundle, shown, connections)


def pool_for(service: ServiceDefinition, settings: Settings) -> Outbound:
    """A new pool for what is not a request's own call: it takes no connection away from one."""
    return _pool(service.vendor.tls, _ca_bundle(settings))


def _ca_bundle(settings: Settings) -> str | None:
    return str(settings.ca_bundle) if settings.ca_bundle else None


async def open_access(
    access: VendorAccess,
    catalog: ServiceCatalog,
    settings: Settings,
    lines: OperatorLog,
    stack: AsyncExitStack,
) -> VendorAccess:
    """The same with a credential for every service, those with tokens that are fetched from now on included.

    Hooks and services that show themselves alike share one token. `stack` ends the fetching.
    """
    sharing: dict[tuple[Authentication, VendorTLS | None], list[ServiceKey]] = {}
    wanted: list[FetchedFor] = []
    for service in catalog:
        key, vendor = (service.id, service.hook), service.vendor
        if key not in access.clients or vendor.authentication is None:
            continue
        shown = vendor.authentication, vendor.tls
        if shown not in sharing:
            wanted.append(FetchedFor(service.id, access.clients[key], _token_pool(vendor, settings)))
        sharing.setdefault(shown, []).append(key)
    fetched = await open_tokens(wanted, lines, stack)
    of_each = {key: token for keys, token in zip(sharing.values(), fetched, strict=True) for key in keys}
    return replace(access, credentials={**access.credentials, **of_each})


def _token_pool(vendor: VendorConfig, settings: Settings) -> Outbound:
    """For the authorisation server: a certificate that is for the vendor is shown to nobody else."""
    server = urlsplit(vendor.authentication.token_url or "") if vendor.authentication else None
    is_vendors = server is not None and server.netloc == urlsplit(vendor.url).netloc
    return _pool(vendor.tls if is_vendors else None, _ca_bundle(settings), _TOKEN_CONNECTIONS)


async def open_vendors(
    catalog: ServiceCatalog,
    access: VendorAccess,
    settings: Settings,
    lines: OperatorLog,
    stack: AsyncExitStack,
) -> dict[ServiceKey, Guarded]:
    """The adapter of every service in its guard; `stack` closes their pools.

    All share one pool, except those with TLS of their own. It has a connection for every call that the guards
    let through, so that no vendor's calls ever wait for those of another.
    """
    places = sum(one.vendor.guard.most_in_flight for one in catalog if one.vendor.tls is None)
    shared = await _opened(_pool(None, _ca_bundle(settings), max(places, 1)), stack)
    vendors: dict[ServiceKey, Guarded] = {}
    for service in catalog:
        tls, policy = service.vendor.tls, service.vendor.guard
        pool = shared
        if tls is not None:
            pool = await _opened(_pool(tls, _ca_bundle(settings), policy.most_in_flight), stack)
        peer = VendorPeer(service.vendor.url, settings.max_vendor_bytes, pool, access.of(service))
        vendor = build_vendor(service, peer, lines)
        if isinstance(vendor, Lasting):
            await vendor.open()
            stack.push_async_callback(vendor.close)
        key = service.id, service.hook
        model = service.vendor.model.configured
        vendors[key] = Guarded(vendor, key, model, service.time_budget, policy, lines)
    return vendors


async def _opened(pool: Outbound, stack: AsyncExitStack) -> Outbound:
    await pool.open()
    stack.push_async_callback(pool.close)
    return pool

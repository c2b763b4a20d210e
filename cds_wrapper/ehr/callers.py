"""Finds out who is calling, from the headers alone and before a byte of the body is read.

The one place where the pure decision (`trust`), the keys (`keys`) and the memory of used tokens (`replay`)
meet. What goes wrong becomes one answer without a reason; the reason is for the operator log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Protocol

from cds_wrapper import log
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.ehr.clients import KnownClient, KnownClients, Refusal
from cds_wrapper.ehr.keys import KeyRing
from cds_wrapper.ehr.replay import ReplayMemory
from cds_wrapper.ehr.tokens import bearer_token
from cds_wrapper.ehr.trust import Presented, Refused, Verified, present, verify
from cds_wrapper.errors import NotAuthenticated
from cds_wrapper.log import caller_events

# A signature on this curve takes longer to verify than all else we do; the library lets go of the
# interpreter meanwhile, so a thread leaves the loop to the other calls.
_SLOW: Final = frozenset({"ES384"})
_THREADS: Final = 2

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """What a call shows of its sender: `Authorization` and certificate headers, and where it connects from.

    `peer` is the address of the connection itself, whatever any header says.
    """

    authorization: Sequence[str]
    certificate: Sequence[str]
    peer: str | None

    def __repr__(self) -> str:
        return "Shown(...)"


class Callers(Protocol):
    """Answers who is calling."""

    authenticates: bool
    open_discovery: bool

    async def who(self, shown: Shown, addresses: Collection[str], now: datetime) -> TrustedClient:
        """The client that calls one of `addresses`; `NotAuthenticated` when it is none we know."""
        ...


class Anybody:
    """Everyone is the same client: development without `clients.yaml`, and never with patients."""

    authenticates = False
    open_discovery = True

    def __init__(self, client: TrustedClient) -> None:
        """`client` is who everybody is taken for."""
        self._client = client

    async def who(self, shown: Shown, addresses: Collection[str], now: datetime) -> TrustedClient:
        """The one client there is."""
        return self._client


class CertificateProxies:
    """Who may say which client certificate a connection had: proxies that end TLS in front of us."""

    def __init__(self, networks: Sequence[Network]) -> None:
        """`networks` are the addresses those proxies connect from."""
        self._networks = tuple(networks)

    def may_say(self, peer: str | None) -> bool:
        """Whether a connection from this address may carry the header."""
        try:
            address = ip_address(peer or "")
        except ValueError:
            return False
        return any(address in network for network in self._networks)


class KnownCallers:
    """Recognises the clients of `clients.yaml`, by token, by certificate or by both."""

    authenticates = True

    def __init__(
        self,
        clients: KnownClients,
        ring: KeyRing,
        memory: ReplayMemory,
        proxies: CertificateProxies,
        lines: log.OperatorLog,
    ) -> None:
        """`ring` and `memory` are open; the caller closes them after `close`."""
        self._clients = clients
        self._ring = ring
        self._memory = memory
        self._proxies = proxies
        self._log = lines
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="signatures")
        self.open_discovery = clients.open_discovery

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def who(self, shown: Shown, addresses: Collection[str], now: datetime) -> TrustedClient:
        """The client that calls one of `addresses`; `NotAuthenticated` when it is none we know."""
        started = time.perf_counter()
        found = await self._recognise(shown, addresses, now)
        if isinstance(found, Refused):
            raise NotAuthenticated(found.why.value, found.client)
        return _trusted(found, (time.perf_counter() - started) * 1000)

    async def _recognise(
        self, shown: Shown, addresses: Collection[str], now: datetime
    ) -> Verified | KnownClient | Refused:
        certificate = self._certificate(shown)
        if isinstance(certificate, Refused):
            return certificate
        by_certificate = self._clients.by_certificate.get(certificate) if certificate else None
        if by_certificate is not None:
            return by_certificate
        text = bearer_token(shown.authorization)
        if isinstance(text, Refusal):
            return Refused(text)
        presented = present(text, self._clients)
        if isinstance(presented, Refused):
            return presented
        if presented.client.certificate not in (None, certificate):
            return Refused(Refusal.CERTIFICATE_REFUSED, presented.client.name)
        return await self._verified(presented, addresses, now)

    def _certificate(self, shown: Shown) -> str | Refused | None:
        """The certificate's subject as a trusted proxy wrote it; from anybody else the header is forged."""
        if not shown.certificate:
            return None
        if len(shown.certificate) > 1 or not self._proxies.may_say(shown.peer):
            return Refused(Refusal.CERTIFICATE_FORGED)
        return shown.certificate[0]

    async def _verified(
        self, presented: Presented, addresses: Collection[str], now: datetime
    ) -> Verified | Refused:
        client = presented.client
        found = await self._verify(presented, addresses, now)
        if isinstance(found, Refused) and found.why in _WORTH_A_FETCH:
            await self._ring.renewed(client)
            found = await self._verify(presented, addresses, now)
        if isinstance(found, Refused):
            return found
        if not self._memory.first_use(client.issuer or "", found.token_id, found.until, now.timestamp()):
            self._log.emit(caller_events.TOKEN_REPLAYED, client=client.name)
            return Refused(Refusal.REPLAYED, client.name)
        return found

    async def _verify(
        self, presented: Presented, addresses: Collection[str], now: datetime
    ) -> Verified | Refused:
        keys = self._ring.of(presented.client)
        if presented.token.header.algorithm not in _SLOW:
            return verify(presented, keys, addresses, now)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, verify, presented, keys, addresses, now)


_WORTH_A_FETCH: Final = frozenset({Refusal.UNKNOWN_KEY, Refusal.KEYS_UNAVAILABLE})


def _trusted(found: Verified | KnownClient, trust_ms: float) -> TrustedClient:
    client = found.client if isinstance(found, Verified) else found
    return TrustedClient(
        name=client.name,
        issuer=client.issuer,
        tenant=found.tenant if isinstance(found, Verified) else None,
        environment=client.environment,
        services=client.services,
        trust_ms=round(trust_ms, 3),
        namespace=client.namespace,
        profile=client.profile,
        most_at_once=client.most_at_once,
    )

"""Decides whether a token comes from an EHR we know and is meant for this call. Pure: no clock, no network.

A refusal is a value from a closed list, for the operator log alone; whoever calls hears no reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeGuard

from cds_wrapper.ehr.addresses import normal_address
from cds_wrapper.ehr.clients import KnownClient, KnownClients, Refusal
from cds_wrapper.ehr.key_sets import REGISTRY, KeySet
from cds_wrapper.ehr.tokens import Token, read_token

_LONGEST_CLAIM: Final = 255
_MOST_AUDIENCES: Final = 20


@dataclass(frozen=True, slots=True, repr=False)
class Presented:
    """A token and the client it claims to come from; nothing is verified yet."""

    token: Token
    client: KnownClient

    def __repr__(self) -> str:
        return f"Presented({self.client.name})"


@dataclass(frozen=True, slots=True, repr=False)
class Verified:
    """What a verified token says; `until` (seconds since 1970) is when nobody may use it any more."""

    client: KnownClient
    tenant: str | None
    token_id: str
    until: float

    def __repr__(self) -> str:
        return f"Verified({self.client.name})"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a token is refused, and the client it claimed to come from where that is one we know."""

    why: Refusal
    client: str | None = None


def present(text: str, clients: KnownClients) -> Presented | Refused:
    """Take a token apart and find the client that it names, as far as that goes without a key."""
    token = read_token(text)
    if isinstance(token, Refusal):
        return Refused(token)
    issuer = token.claims.get("iss")
    client = clients.by_issuer.get(issuer) if isinstance(issuer, str) else None
    if client is None:
        return Refused(Refusal.UNKNOWN_ISSUER)
    why = _header_refusal(token, client)
    return Refused(why, client.name) if why else Presented(token, client)


def _header_refusal(token: Token, client: KnownClient) -> Refusal | None:
    header = token.header
    if header.algorithm not in client.algorithms:
        return Refusal.ALGORITHM_REFUSED
    if header.type != "JWT" and (header.type is not None or client.type_required):
        return Refusal.TYPE_REFUSED
    if header.key_address is not None and header.key_address not in client.key_addresses:
        return Refusal.KEY_ADDRESS_REFUSED
    return None


def verify(
    presented: Presented, keys: KeySet | None, addresses: Collection[str], now: datetime
) -> Verified | Refused:
    """Verify a token with its client's keys, for a call of one of `addresses` at the moment `now`.

    The signature comes first, so that whatever is said about the claims is about the EHR's own claims.
    """
    token, client = presented.token, presented.client
    if keys is None:
        return Refused(Refusal.KEYS_UNAVAILABLE, client.name)
    key = keys.keys.get((token.header.key_id, token.header.algorithm))
    if key is None:
        return Refused(Refusal.UNKNOWN_KEY, client.name)
    if not REGISTRY.get_alg(token.header.algorithm).verify(token.signed, token.signature, key):
        return Refused(Refusal.BAD_SIGNATURE, client.name)
    why = (
        _time_refusal(token.claims, client, now.timestamp())
        or _audience_refusal(token.claims.get("aud"), client, addresses)
        or _tenant_refusal(token.claims.get("tenant"), client)
    )
    token_id = token.claims.get("jti")
    if why is None and not _is_text(token_id):
        why = Refusal.CLAIM_MALFORMED
    if why is not None:
        return Refused(why, client.name)
    until = float(token.claims["exp"]) + client.leeway.total_seconds()
    return Verified(client, token.claims.get("tenant"), str(token_id), until)


def _time_refusal(claims: Mapping[str, Any], client: KnownClient, now: float) -> Refusal | None:
    issued, expires, begins = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if not (_is_time(issued) and _is_time(expires) and _is_time(begins)):
        return Refusal.CLAIM_MALFORMED
    if expires <= issued:
        return Refusal.CLAIM_MALFORMED
    leeway = client.leeway.total_seconds()
    if now >= expires + leeway:
        return Refusal.EXPIRED
    if now < max(issued, begins) - leeway:
        return Refusal.NOT_YET_VALID
    if expires - issued > client.longest_lifetime.total_seconds():
        return Refusal.LIVES_TOO_LONG
    return None


def _is_time(value: Any) -> TypeGuard[float]:
    """Whether it is a number of seconds since 1970 that a clock could show."""
    return type(value) in (int, float) and 0 <= value < 2**40


def _is_text(value: object) -> bool:
    """Whether it can be kept, compared and shown as it is: not empty, not long, no control characters."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_CLAIM and value.isprintable()


def _audience_refusal(audience: object, client: KnownClient, addresses: Collection[str]) -> Refusal | None:
    """Whether the token is for the address that is called (CDS Hooks 2.0.1, "Trusting CDS Clients")."""
    named = audience if isinstance(audience, list) else [audience]
    if not 0 < len(named) <= _MOST_AUDIENCES or not all(isinstance(one, str) for one in named):
        return Refusal.CLAIM_MALFORMED
    if any(one in addresses or one in client.audiences for one in named):
        return None
    ours = {normal_address(address) for address in addresses}
    return None if any(normal_address(one) in ours for one in named) else Refusal.WRONG_AUDIENCE


def _tenant_refusal(tenant: object, client: KnownClient) -> Refusal | None:
    if tenant is not None and not _is_text(tenant):
        return Refusal.CLAIM_MALFORMED
    if client.tenants is not None and tenant not in client.tenants:
        return Refusal.TENANT_REFUSED
    return None

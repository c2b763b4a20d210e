"""The EHRs that may call, as the integration team declared them, and why a call is refused. Pure values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cds_wrapper.cds_client import GENERIC, ClientProfile
from cds_wrapper.ehr.access import FHIRAccess
from cds_wrapper.ehr.key_sets import KeySet

MOST_AT_ONCE: Final = 64
"""Calls of one client that are served at one time, where its entry does not say."""


class Refusal(enum.Enum):
    """Why a caller was not recognised: the closed list of the operator log. A caller never hears which."""

    NO_TOKEN = "no_token"  # noqa: S105  the name of a reason
    NOT_BEARER = "not_bearer"
    TOKEN_TOO_LARGE = "token_too_large"  # noqa: S105  the name of a reason
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105  the name of a reason
    HEADER_REFUSED = "header_refused"
    TYPE_REFUSED = "type_refused"
    ALGORITHM_REFUSED = "algorithm_refused"
    UNKNOWN_ISSUER = "unknown_issuer"
    KEY_ADDRESS_REFUSED = "key_address_refused"
    KEYS_UNAVAILABLE = "keys_unavailable"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    CLAIM_MALFORMED = "claim_malformed"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIVES_TOO_LONG = "lives_too_long"
    TENANT_REFUSED = "tenant_refused"
    REPLAYED = "replayed"
    CERTIFICATE_REFUSED = "certificate_refused"
    CERTIFICATE_FORGED = "certificate_forged"


@dataclass(frozen=True, slots=True)
class KeyAddress:
    """Where an EHR publishes its keys, how long they hold, and how long while nothing answers there."""

    url: str
    refresh_after: timedelta
    kept_while_unreachable: timedelta


@dataclass(frozen=True, slots=True)
class KnownClient:
    """One EHR as `clients.yaml` declares it.

    `issuer` and `keys` are None for an EHR that is known by its certificate alone; None for `tenants` or
    `services` means any. `keys` is a set that was read from a file, or the address where it is published;
    `key_addresses` are those a token may name in its header, which is compared and never followed.
    `origins` are the pages that may call as it from a browser. With `anybody_can_sign` its private key is
    public, so that its calls prove nothing. `fhir` says which FHIR servers may be read for its calls, None
    for none. The rest as in `TrustedClient`.
    """

    name: str
    environment: str
    issuer: str | None = None
    keys: KeySet | KeyAddress | None = field(default=None, repr=False)
    key_addresses: frozenset[str] = frozenset()
    algorithms: frozenset[str] = frozenset({"ES384", "RS384"})
    audiences: frozenset[str] = frozenset()
    tenants: frozenset[str] | None = None
    services: frozenset[str] | None = None
    longest_lifetime: timedelta = timedelta(hours=1)
    leeway: timedelta = timedelta(minutes=1)
    type_required: bool = True
    certificate: str | None = None
    namespace: str | None = None
    profile: ClientProfile = GENERIC
    origins: frozenset[str] = frozenset()
    most_at_once: int = MOST_AT_ONCE
    anybody_can_sign: bool = False
    fhir: FHIRAccess | None = None


@dataclass(frozen=True, slots=True)
class KnownClients:
    """Every EHR that may call, by what it shows: the issuer of its tokens, or its certificate alone."""

    clients: tuple[KnownClient, ...]
    open_discovery: bool
    digest: str
    by_issuer: Mapping[str, KnownClient] = field(init=False, repr=False)
    by_certificate: Mapping[str, KnownClient] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index them once; `services` has refused two of one issuer or certificate."""
        issuers = {one.issuer: one for one in self.clients if one.issuer is not None}
        alone = [one for one in self.clients if one.issuer is None]
        certificates = {one.certificate: one for one in alone if one.certificate is not None}
        object.__setattr__(self, "by_issuer", issuers)
        object.__setattr__(self, "by_certificate", certificates)

"""The parts of `vendor` in `service.yaml` that say how we show ourselves to it and what it may see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from cds_wrapper.services.fields import (
    HEADER_NAME,
    TAKEN_HEADERS,
    FileModel,
    Span,
    Words,
    is_plain_address,
    written,
)
from cds_wrapper.signing import ENVIRONMENT

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS: Final = "CDS_WRAPPER_"
_EVERY: Final = (timedelta(minutes=1), timedelta(hours=24))
_LONGEST_LASTING: Final = timedelta(minutes=5)
_REST: Final = (timedelta(seconds=1), timedelta(minutes=10))


def is_address(url: str) -> str:
    """An http(s) address without user information, as written."""
    if not is_plain_address(url):
        raise ValueError("is not an http(s) address, such as https://model.example.org/cds-services/risk")
    return url


def _secret(where: str) -> str:
    """Never the secret itself, and never a file whose place depends on where the program was started."""
    if where.startswith(ENVIRONMENT):
        name = where.removeprefix(ENVIRONMENT)
        if not _VARIABLE.fullmatch(name) or name.startswith(_OURS):
            raise ValueError(f"needs a variable's name behind `{ENVIRONMENT}`, not one of {_OURS}*.")
    elif not where.startswith("/"):
        raise ValueError(f"is neither the whole path of a file nor `{ENVIRONMENT}NAME`.")
    return where


def _whole_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("is not the whole path of a file.")
    return path


Secret = Annotated[Words, AfterValidator(_secret)]
"""Where a secret is found: the whole path of a file, or `env:NAME`."""

PathOfFile = Annotated[Words, AfterValidator(_whole_path)]


UserReference = Annotated[
    str,
    written(
        r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.-]{1,64}",
        "is not a reference to a Practitioner, PractitionerRole, Patient or RelatedPerson, as"
        " `Practitioner/unknown`.",
    ),
]
"""A reference that stands for a user."""


SecretMember = Literal["key", "token", "secret"]
"""The keys of `authentication` that name a secret."""

_BELONGS: Final[Mapping[str, frozenset[str]]] = {
    "jwt": frozenset({"key", "algorithm", "issuer", "audience", "tenant"}),
    "bearer": frozenset({"token"}),
    "api_key": frozenset({"secret", "header"}),
    "oauth2": frozenset({"token_url", "client_id", "secret", "key", "algorithm", "scope", "audience"}),
}
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "jwt": ("key",),
    "bearer": ("token",),
    "api_key": ("secret",),
    "oauth2": ("token_url", "client_id"),
}


def _header(name: str) -> str:
    lower = name.lower()
    if not HEADER_NAME.fullmatch(lower) or lower in TAKEN_HEADERS:
        raise ValueError("is no name of a header that a key could stand in, such as `x-api-key`.")
    return lower


class AuthenticationFile(FileModel):
    """How our calls to the vendor are signed."""

    kind: Literal["jwt", "bearer", "api_key", "oauth2"] = Field(
        description="`jwt`: a token of our own for each call, as CDS Hooks has it; `bearer`: one it gave us;"
        " `api_key`: a key in a header; `oauth2`: a token of an authorisation server (client credentials)."
    )
    key: Secret | None = Field(
        None,
        description="For `jwt`, and for `oauth2` in place of a secret: our private key set, a file of mode"
        " 0600 or `env:NAME`; see the command `keys`.",
    )
    token: Secret | None = Field(
        None, description="For `bearer`: the vendor's token, a file of mode 0600 or `env:NAME`."
    )
    secret: Secret | None = Field(
        None,
        description="For `api_key` the key, for `oauth2` the client secret: a file of mode 0600 or"
        " `env:NAME`.",
    )
    header: Annotated[Words, AfterValidator(_header)] = Field(
        "x-api-key", description="For `api_key`: the header that the key stands in."
    )
    token_url: Annotated[Words, AfterValidator(is_address)] | None = Field(
        None,
        description="For `oauth2`: where tokens are asked for. `tls` counts there only on the vendor's own"
        " host.",
    )
    client_id: Words | None = Field(None, description="For `oauth2`: our id at that server.")
    scope: Words | None = Field(None, description="For `oauth2`: what the token is for.")
    algorithm: Literal["ES384", "RS384"] = Field(
        "ES384", description="What the first key of the set signs; RS384 takes three times the processor."
    )
    issuer: Words | None = Field(
        None, description="`iss`, our name as the vendor registered it; without it, our public address."
    )
    audience: Words | None = Field(
        None,
        description="For `jwt`, `aud` where the vendor wants another text than the address that is called;"
        " for `oauth2`, `audience` where the server asks for one.",
    )
    tenant: Words | None = Field(None, description="`tenant`, where the vendor tells our sites apart by it.")

    @property
    def secrets(self) -> list[tuple[SecretMember, str]]:
        """The secrets that are named, by their key in the file; one, once the file is checked."""
        named: list[tuple[SecretMember, str | None]]
        named = [("key", self.key), ("token", self.token), ("secret", self.secret)]
        return [(member, where) for member, where in named if where is not None]

    @model_validator(mode="after")
    def _what_its_kind_needs(self) -> AuthenticationFile:
        lacking = [f"`{name}`" for name in _NEEDS[self.kind] if getattr(self, name) is None]
        if lacking:
            raise ValueError(f"needs {' and '.join(lacking)} for `{self.kind}`.")
        others = sorted(self.model_fields_set - _BELONGS[self.kind] - {"kind"})
        if others:
            raise ValueError(f"has {', '.join(f'`{one}`' for one in others)}, not of `{self.kind}`.")
        if len(self.secrets) != 1:
            raise ValueError("needs `secret` or `key` for `oauth2`, and not both.")
        return self


class TLSFile(FileModel):
    """Who we are on the wire (mutual TLS), and whom we believe."""

    certificate: PathOfFile | None = Field(
        None, description="Our certificate and its chain, PEM; needs `key`."
    )
    key: PathOfFile | None = Field(None, description="Its private key, PEM without a password, mode 0600.")
    ca: PathOfFile | None = Field(
        None, description="Certificates to trust towards this vendor in place of all others, PEM."
    )

    @model_validator(mode="after")
    def _a_pair(self) -> TLSFile:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("needs `certificate` and `key` together.")
        return self


class CircuitFile(FileModel):
    """When a vendor that does not work is given a rest; a card then says at once that there is no result."""

    failures: int = Field(5, ge=1, le=1000, description="It has failed so many calls in a row, ...")
    lasting: Span = Field(
        timedelta(seconds=2),
        description="... the last one at least this long after the first, so that a pause of a moment opens"
        " nothing; `PT0S` to `PT5M`.",
    )
    open_for: Span = Field(
        timedelta(seconds=30),
        description="How long it rests before one call at a time tries it again; `PT1S` to `PT10M`.",
    )

    @field_validator("lasting")
    @classmethod
    def _not_too_long(cls, lasting: timedelta) -> timedelta:
        if lasting > _LONGEST_LASTING:
            raise ValueError("must be from `PT0S` to `PT5M`.")
        return lasting

    @field_validator("open_for")
    @classmethod
    def _a_rest(cls, open_for: timedelta) -> timedelta:
        if not _REST[0] <= open_for <= _REST[1]:
            raise ValueError("must be from `PT1S` to `PT10M`.")
        return open_for


class OfferFile(FileModel):
    """Where the vendor says which services it has."""

    url: Annotated[Words, AfterValidator(is_address)] = Field(
        description="The vendor's base address, or its list of services itself (`.../cds-services`)."
    )
    service: Words | None = Field(
        None, description="The id of the service there; without it, the last part of `vendor.url`."
    )
    every: Span = Field(
        timedelta(minutes=15), description="How often it is read while we run, `PT1M` to `PT24H`."
    )
    templates: Literal["compare", "join"] = Field(
        "compare",
        description="`join` takes the vendor's prefetch templates into ours at the start, and sends it those"
        " keys; `compare` only says where the two differ.",
    )

    @field_validator("every")
    @classmethod
    def _a_time(cls, every: timedelta) -> timedelta:
        if not _EVERY[0] <= every <= _EVERY[1]:
            raise ValueError("must be from `PT1M` to `PT24H`.")
        return every

    @property
    def list_address(self) -> str:
        """Where the list of services is read (CDS Hooks 2.0.1, "Discovery")."""
        base = self.url.rstrip("/")
        return base if base.endswith("/cds-services") else f"{base}/cds-services"


def feedback_choice(value: str) -> str:
    """`off`, `on` or an address."""
    if value in {"off", "on"}:
        return value
    try:
        return is_address(value)
    except ValueError:
        raise ValueError("is neither `off` nor `on` nor an http(s) address.") from None

"""The part `fhir:` of a client in `clients.yaml`: which FHIR servers may be read, and with whose token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, field_validator, model_validator

from cds_wrapper.ehr.access import AccessMode, BackendClient, FHIRAccess
from cds_wrapper.ehr.addresses import normal_address
from cds_wrapper.services.fields import FileModel, Span, Words, is_plain_address
from cds_wrapper.signing import OwnKey, own_keys_from

LONGEST_READ: Final = timedelta(seconds=5)
MOST_PAGES: Final = 50
_OF_OUR_OWN: Final = ("token_url", "client_id", "scope", "key")


class FHIRFile(FileModel):
    """FHIR servers of one EHR."""

    servers: Annotated[list[Words], Field(min_length=1)] = Field(
        description="Base addresses of its FHIR servers; no other is called, whatever a call names. https in"
        " production."
    )
    access: Literal["token", "backend", "token_or_backend"] = Field(
        "token",
        description="With whose token: the one a call brings, one of our own (SMART Backend Services), or our"
        " own where a call brings none.",
    )
    token_url: Words | None = Field(
        None, description="Where our own token is asked for; https in production."
    )
    client_id: Words | None = Field(None, description="Our client id at that authorisation server.")
    scope: Words | None = Field(
        None, description="What is asked for, no more than the prefetch needs: `system/Patient.rs`."
    )
    key: Words | None = Field(
        None,
        description="File with our private key, mode 0600, as `keys new` makes it; the first of a set signs."
        " A relative path begins at this folder.",
    )
    most_pages: int = Field(
        5, ge=1, le=MOST_PAGES, description="Most pages of one result, the first included."
    )
    within: Span = Field(
        timedelta(milliseconds=200),
        description="Part of a service's time budget that reading may take: at most `PT5S`, and never more"
        " than half of what is left of it.",
    )

    @field_validator("servers")
    @classmethod
    def _bases(cls, servers: list[str]) -> list[str]:
        for server in servers:
            parts = urlsplit(server)
            if not is_plain_address(server) or parts.query or parts.fragment:
                raise ValueError("lists what is no FHIR base address, such as https://ehr.example.org/fhir.")
        if len({normal_address(server) for server in servers}) < len(servers):
            raise ValueError("lists one server twice.")
        return servers

    @field_validator("token_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None and not is_plain_address(url):
            raise ValueError("is not an http(s) address, such as https://ehr.example.org/oauth2/token.")
        return url

    @field_validator("within")
    @classmethod
    def _a_part(cls, span: timedelta) -> timedelta:
        if not timedelta(milliseconds=10) <= span <= LONGEST_READ:
            raise ValueError("must be from `PT0.01S` to `PT5S`.")
        return span

    @model_validator(mode="after")
    def _all_or_nothing(self) -> FHIRFile:
        given = [name for name in _OF_OUR_OWN if getattr(self, name) is not None]
        if self.access == "token" and given:
            raise ValueError(f"has {', '.join(given)}, which `access: token` does not use.")
        if self.access != "token" and len(given) < len(_OF_OUR_OWN):
            missing = [name for name in _OF_OUR_OWN if name not in given]
            raise ValueError(f"needs {', '.join(missing)} for a token of our own.")
        return self


def access_of(fhir: FHIRFile, read_key: Callable[[str], bytes]) -> FHIRAccess:
    """The access that the file describes; raises `UnusableSecret` or `OSError` for the key it names."""
    return FHIRAccess(
        servers=tuple(server.rstrip("/") for server in fhir.servers),
        mode=AccessMode(fhir.access),
        most_pages=fhir.most_pages,
        within=fhir.within,
        backend=_backend(fhir, read_key),
    )


def _backend(fhir: FHIRFile, read_key: Callable[[str], bytes]) -> BackendClient | None:
    if fhir.token_url is None or fhir.client_id is None or fhir.scope is None or fhir.key is None:
        return None
    return BackendClient(fhir.token_url, fhir.client_id, fhir.scope, signing_key(read_key(fhir.key)))


def signing_key(content: bytes) -> OwnKey:
    """Our private key, the first of a key set or one by itself (RFC 7517); raises `UnusableSecret`."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    alone = isinstance(document, dict) and "kty" in document
    return own_keys_from(msgspec.json.encode({"keys": [document]}) if alone else content).keys[0]

"""Takes a JSON Web Token apart (RFC 7515, RFC 7519) before anything in it is believed. Pure.

Stricter than the formats: a member written twice, a number JSON does not know, or a header that brings its
own key makes it no token for us, since another reader might take it differently.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

from cds_wrapper.ehr.clients import Refusal

LONGEST_TOKEN: Final = 8192
_LONGEST_HEADER: Final = 4096
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
# `crit` and `b64` change what is signed; the others bring a key along, and keys come from those we know.
_REFUSED_MEMBERS: Final = frozenset({"crit", "b64", "jwk", "x5u", "x5c", "zip", "enc"})
# One EHR sends the same header with every token. Kept are headers alone: what is signed is never kept.
_HEADERS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """The header of a token: algorithm, key name, type in capitals, and the address it names for its keys."""

    algorithm: str
    key_id: str
    type: str | None
    key_address: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token taken apart, not yet verified: believe nothing in `claims` before its signature holds."""

    header: TokenHeader
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"Token({self.header.algorithm})"


def bearer_token(authorization: Sequence[str]) -> str | Refusal:
    """The token of the `Authorization` headers of a call (RFC 6750, 2.1); two headers are one too many."""
    if not authorization:
        return Refusal.NO_TOKEN
    scheme, _, text = authorization[0].partition(" ")
    if len(authorization) > 1 or scheme.lower() != "bearer":
        return Refusal.NOT_BEARER
    return text.strip(" ") or Refusal.NO_TOKEN


def read_token(text: str) -> Token | Refusal:
    """A token in its three parts, or why it is none."""
    if len(text) > LONGEST_TOKEN:
        return Refusal.TOKEN_TOO_LARGE
    parts = _COMPACT.fullmatch(text)
    if parts is None:
        return Refusal.TOKEN_MALFORMED
    header = read_header(parts[1])
    if isinstance(header, Refusal):
        return header
    try:
        claims, signature = _object(parts[2]), _decoded(parts[3])
    except (ValueError, RecursionError):
        return Refusal.TOKEN_MALFORMED
    return Token(header, claims, text[: parts.end(2)].encode(), signature)


@lru_cache(_HEADERS_KEPT)
def read_header(segment: str) -> TokenHeader | Refusal:
    """The header of a token, or why it is refused; the same text always gives the same header."""
    if len(segment) > _LONGEST_HEADER:
        return Refusal.TOKEN_TOO_LARGE
    try:
        members = _object(segment)
    except (ValueError, RecursionError):
        return Refusal.TOKEN_MALFORMED
    if _REFUSED_MEMBERS & members.keys():
        return Refusal.HEADER_REFUSED
    algorithm, key_id = members.get("alg"), members.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str) or not key_id:
        return Refusal.HEADER_REFUSED
    kind, address = members.get("typ"), members.get("jku")
    if not isinstance(kind, str | None) or not isinstance(address, str | None):
        return Refusal.HEADER_REFUSED
    return TokenHeader(algorithm, key_id, kind.upper() if kind is not None else None, address)


def _object(segment: str) -> dict[str, Any]:
    """A JSON object that no two readers could read differently; `ValueError` otherwise."""
    value = _reader.decode(_decoded(segment).decode())
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  every form that is wrong is told alike
    return value


def _decoded(segment: str) -> bytes:
    return base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose members are all different."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is written twice")
    return members


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


_reader = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)

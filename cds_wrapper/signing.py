"""Our own keys and the tokens we sign with them: how we show a peer who calls.

CDS Hooks 2.0.1, "Trusting CDS Clients". A key file is a JSON Web Key Set (RFC 7517) with private parts. Its
first key signs, the public parts of all are published: so a new key is known to every peer before it signs,
and an old one after it has ceased to.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeyParameters, RSAKey
from joserfc.jws import JWSRegistry

OwnKey = ECKey | RSAKey

ALGORITHMS: Final = ("ES384", "RS384")
"""What we sign with; both are recommended (CDS Hooks 2.0.1, "JWT Signing Algorithm")."""

LIFETIME: Final = timedelta(minutes=5)
ENVIRONMENT: Final = "env:"
"""Begins the name of an environment variable that holds a secret; anything else is a file."""

_REGISTRY: Final = JWSRegistry(algorithms=ALGORITHMS)
_READABLE_BY_OTHERS: Final = 0o077
_CURVE: Final = "P-384"
_RSA_BITS: Final = (2048, 4096)
# A longer one would take the processor three times as long, at every call to the vendor.
_NEW_RSA_BITS: Final = 2048
_LONGEST_KEY_ID: Final = 256
_LONGEST_IN_HEADER: Final = 16 * 1024
_ID_BYTES: Final = 16


class UnusableSecret(ValueError):
    """A secret cannot be used; the message says why and what to do, and holds nothing of it."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnKeys:
    """Our private keys in the order of their file; the first one signs."""

    keys: tuple[OwnKey, ...]

    def __repr__(self) -> str:
        return f"OwnKeys({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """The `kid` of every key, the one that signs first."""
        return tuple(str(key.kid) for key in self.keys)

    def signing(self, algorithm: str) -> OwnKey:
        """The key that signs; `UnusableSecret` when the first one does not fit the algorithm."""
        first = self.keys[0]
        if algorithm_of(first) != algorithm:
            raise UnusableSecret(
                f"begins with the key `{first.kid}`, which signs {algorithm_of(first)} and not {algorithm}:"
                " put another first, or change `algorithm`"
            )
        return first


def algorithm_of(key: OwnKey) -> str:
    """The one algorithm that we use a key with."""
    return "ES384" if isinstance(key, ECKey) else "RS384"


# Reading ----------------------------------------------------------------------------------------------------


def read_secret(where: str) -> bytes:
    """The bytes of a secret, from `env:NAME` or from a file that nobody else can read."""
    if where.startswith(ENVIRONMENT):
        name = where.removeprefix(ENVIRONMENT)
        value = os.environ.get(name)
        if not value:
            raise UnusableSecret(f"names the environment variable {name}, which is not set")
        return value.encode(errors="surrogateescape")
    path = Path(where)
    try:
        return read_private(path)
    except OSError as error:
        raise UnusableSecret(f"names {path}, which cannot be read: {error.strerror}") from None
    except UnusableSecret as unusable:
        raise UnusableSecret(f"names {path}, which {unusable}") from None


def read_private(path: Path) -> bytes:
    """The bytes of a private file; raises `UnusableSecret` when others may read it, or `OSError`."""
    if path.stat().st_mode & _READABLE_BY_OTHERS:
        raise UnusableSecret("others on this machine may read: chmod 600 it")
    return path.read_bytes()


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


_key_set = msgspec.json.Decoder(_KeySet)


def read_own_keys(where: str) -> OwnKeys:
    """The private keys of a file or variable; `UnusableSecret` says what is wrong."""
    return own_keys_from(read_secret(where))


def own_keys_from(content: bytes) -> OwnKeys:
    """The private keys of a key set; `UnusableSecret` says what is wrong without repeating any of it."""
    try:
        entries = _key_set.decode(content).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnusableSecret(
            "is no private key set, a JSON object with a list `keys` (RFC 7517): make one with the command"
            " `keys new`"
        ) from None
    keys = tuple(_private_key(entry) for entry in entries)
    if not keys:
        raise UnusableSecret("holds no key: make one with the command `keys new`")
    names = [key.kid for key in keys]
    if len(set(names)) < len(names):
        raise UnusableSecret("uses one `kid` for two keys: a peer could not tell which one signed")
    return OwnKeys(keys)


def _private_key(entry: Mapping[str, Any]) -> OwnKey:
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_KEY_ID:
        raise UnusableSecret("holds a key without a `kid`: name each key")
    is_curve = entry.get("kty") == "EC" and entry.get("crv") == _CURVE
    if not is_curve and entry.get("kty") != "RSA":
        raise UnusableSecret(f"holds a key that is neither EC on {_CURVE} nor RSA")
    try:
        key: OwnKey = ECKey.import_key(dict(entry)) if is_curve else RSAKey.import_key(dict(entry))
    except (JoseError, ValueError, TypeError, KeyError):
        raise UnusableSecret("holds a key that cannot be read") from None
    if not key.is_private:
        raise UnusableSecret("holds a public key only: signing needs its private part")
    if isinstance(key, RSAKey) and not _RSA_BITS[0] <= key.public_key.key_size <= _RSA_BITS[1]:
        raise UnusableSecret(f"holds an RSA key outside {_RSA_BITS[0]} to {_RSA_BITS[1]} bits")
    return key


# Publishing -------------------------------------------------------------------------------------------------


def published_set(keys: Iterable[OwnKey]) -> bytes:
    """The public parts as peers read them (RFC 7517): each member is one we name, and no private one is."""
    return msgspec.json.encode({"keys": [_public_part(key) for key in keys]})


def _public_part(key: OwnKey) -> dict[str, object]:
    members = ("kty", "crv", "x", "y") if isinstance(key, ECKey) else ("kty", "n", "e")
    whole = key.as_dict(private=False)
    return {**{name: whole[name] for name in members}, "kid": key.kid, "use": "sig", "alg": algorithm_of(key)}


# Making -----------------------------------------------------------------------------------------------------


def new_key(algorithm: str, now: datetime) -> OwnKey:
    """A fresh key under a name of its own: the month, so that people can tell old from new, and random."""
    name: KeyParameters = {"kid": f"{now.astimezone(UTC):%Y-%m}-{secrets.token_hex(4)}"}
    if algorithm == "ES384":
        return ECKey.generate_key(_CURVE, name)
    return RSAKey.generate_key(_NEW_RSA_BITS, name)


def write_own_keys(path: Path, keys: Iterable[OwnKey]) -> None:
    """Replace a key file as a whole, mode 0600; raises `OSError`."""
    content = json.dumps({"keys": [key.as_dict(private=True) for key in keys]}, indent=2) + "\n"
    made = path.with_name(path.name + ".new")
    made.unlink(missing_ok=True)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)


# Signing ----------------------------------------------------------------------------------------------------


def token_header(key: OwnKey, **more: str) -> str:
    """The encoded header of every token that a key signs."""
    header = {"alg": algorithm_of(key), "kid": key.kid, "typ": "JWT", **more}
    return _encoded(msgspec.json.encode(header))


def signed(key: OwnKey, header: str, claims: Mapping[str, object]) -> str:
    """A token (RFC 7519) with these claims; `header` is that of `token_header` for the same key."""
    content = f"{header}.{_encoded(msgspec.json.encode(claims))}"
    signature = _REGISTRY.get_alg(algorithm_of(key)).sign(content.encode(), key)
    return f"{content}.{_encoded(signature)}"


class Credential(Protocol):
    """What our calls to a peer are signed with."""

    async def headers(self, url: str, within: timedelta, /) -> Mapping[str, str] | None:
        """The header fields of one call to an address; None when they cannot be had within that time."""
        ...

    def refused(self, headers: Mapping[str, str], /) -> None:
        """Learn that the peer did not accept these (HTTP 401)."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """Makes the `Authorization` of our calls to one peer: a token of its own for each of them.

    `issuer` is our name as the peer registered it, `key_address` where it finds our public keys. `audience`
    replaces the address called, where a peer wants another text; `tenant` is left out when there is none.
    """

    key: OwnKey
    issuer: str
    key_address: str
    audience: str | None = None
    tenant: str | None = None
    clock: Callable[[], float] = time.time
    _header: str = field(init=False)

    def __post_init__(self) -> None:
        """The header is the same for every token."""
        object.__setattr__(self, "_header", token_header(self.key, jku=self.key_address))

    def __repr__(self) -> str:
        return f"Signer({self.key.kid})"

    async def headers(self, url: str, _within: timedelta) -> Mapping[str, str]:
        """A token made for this call."""
        return {"authorization": f"Bearer {self.token(url)}"}

    def refused(self, _headers: Mapping[str, str]) -> None:
        """The next call has a token of its own anyway."""

    def token(self, url: str) -> str:
        """A signed token (RFC 7519) for one call to an address, good for five minutes."""
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": self.audience or url,
            "iat": now,
            "exp": now + int(LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(_ID_BYTES),
            **({"tenant": self.tenant} if self.tenant else {}),
        }
        return signed(self.key, self._header, claims)


@dataclass(frozen=True, slots=True, repr=False)
class SharedSecret:
    """A token or an API key that a peer has given us once and for all, in the field where it belongs."""

    fields: Mapping[str, str]

    def __repr__(self) -> str:
        return "SharedSecret(...)"

    async def headers(self, _url: str, _within: timedelta) -> Mapping[str, str]:
        """The same for every call."""
        return self.fields

    def refused(self, _headers: Mapping[str, str]) -> None:
        """There is no other; people have to ask for a new one."""


def read_shared_token(where: str) -> SharedSecret:
    """A peer's token from a file or variable; `UnusableSecret` when it could not stand in a header."""
    return SharedSecret({"authorization": f"Bearer {read_printable(where)}"})


def read_api_key(where: str, header: str) -> SharedSecret:
    """A peer's API key for the header it wants it in; raises as `read_shared_token` does."""
    return SharedSecret({header: read_printable(where)})


def read_printable(where: str) -> str:
    """A secret that can stand in a header; `UnusableSecret` when it could not."""
    text = read_secret(where).decode("ascii", "replace").strip()
    if not is_printable(text):
        raise UnusableSecret("holds no token: it must be one line of ASCII without blanks")
    return text


def is_printable(text: str) -> bool:
    """Whether a text can stand in a header as it is: visible ASCII without blanks, and not without end."""
    return 0 < len(text) <= _LONGEST_IN_HEADER and all("!" <= character <= "~" for character in text)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

"""Reads a JSON Web Key Set (RFC 7517) into the keys that may verify a signature. Pure.

What is published beside them is left out: symmetric keys, keys for encryption, short keys, keys nobody can
name, and a key that was published with its private part, which is nobody's secret any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

VerifyingKey = ECKey | RSAKey

ALGORITHMS: Final = ("ES256", "ES384", "PS384", "RS256", "RS384")
"""What a hospital may list: a symmetric algorithm, or none, cannot be written down."""

REGISTRY: Final = JWSRegistry(algorithms=ALGORITHMS)

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_SHORTEST_RSA_BITS: Final = 2048
# Longer ones take so long to verify that a key set could stop the service.
_LONGEST_RSA_BITS: Final = 8192
_LONGEST_EXPONENT: Final = 6
_LONGEST_MEMBER: Final = 2 * _LONGEST_RSA_BITS // 6
MOST_KEYS: Final = 100


class UnreadableKeySet(ValueError):
    """The content is no key set; its message says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys by `kid` and algorithm; `unusable` counts those that were left out.

    Two keys of one `kid` that fit the same algorithm pick none: nobody could say which one signed.
    """

    keys: Mapping[tuple[str, str], VerifyingKey] = field(repr=False)
    unusable: int = 0
    private: int = 0

    @property
    def names(self) -> frozenset[str]:
        """The `kid` of every usable key."""
        return frozenset(kid for kid, _ in self.keys)


class _Key(msgspec.Struct):
    kty: str
    kid: str
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class _Set(msgspec.Struct):
    keys: list[dict[str, object]]


_set = msgspec.json.Decoder(_Set)


def read_key_set(content: bytes) -> KeySet:
    """The usable keys of a published set; one without any is a set all the same: its owner trusts no key.

    Raises `UnreadableKeySet` for what is no key set.
    """
    try:
        entries = _set.decode(content).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableKeySet("is no JSON object with a list `keys` (RFC 7517)") from None
    if len(entries) > MOST_KEYS:
        raise UnreadableKeySet(f"holds more than {MOST_KEYS} keys")
    read = [(entry, _usable(entry)) for entry in entries]
    fitting = [(place, key) for _, key in read if key for place in _places(key)]
    counted = Counter(place for place, _ in fitting)
    return KeySet(
        keys={place: key for place, key in fitting if counted[place] == 1},
        unusable=sum(1 for _, key in read if key is None),
        private=sum(1 for entry, _ in read if _PRIVATE & entry.keys() and entry.get("kty") != "oct"),
    )


def _usable(entry: Mapping[str, object]) -> VerifyingKey | None:
    """The key of an entry, or None when it cannot be meant for verifying signatures."""
    if _PRIVATE & entry.keys():
        return None
    try:
        shape = msgspec.convert(entry, _Key)
        if shape.use not in (None, "sig") or (shape.key_ops is not None and "verify" not in shape.key_ops):
            return None
        return _imported(shape) if shape.kid else None
    except (msgspec.ValidationError, JoseError, ValueError, KeyError):
        return None


def _imported(shape: _Key) -> VerifyingKey | None:
    """The library's key, made only of the members we have looked at."""
    members = {"kty": shape.kty, "kid": shape.kid, **({"alg": shape.alg} if shape.alg else {})}
    if shape.kty == "EC" and shape.crv and shape.x and shape.y:
        if max(len(shape.x), len(shape.y)) > _LONGEST_MEMBER:
            return None
        return ECKey.import_key({**members, "crv": shape.crv, "x": shape.x, "y": shape.y})
    if shape.kty == "RSA" and shape.n and shape.e:
        # Looked at before the library does: it warns on short keys, and long ones are slow to make.
        if len(shape.e) > _LONGEST_EXPONENT or not _SHORTEST_RSA_BITS // 6 <= len(shape.n) <= _LONGEST_MEMBER:
            return None
        key = RSAKey.import_key({**members, "n": shape.n, "e": shape.e})
        return key if _SHORTEST_RSA_BITS <= key.public_key.key_size <= _LONGEST_RSA_BITS else None
    return None


def _places(key: VerifyingKey) -> Iterator[tuple[str, str]]:
    """Where a key is found: under its `kid`, for every algorithm that fits its type, curve and own `alg`."""
    for algorithm in ALGORITHMS:
        try:
            key.check_alg(algorithm)
            REGISTRY.get_alg(algorithm).check_key(key)
        except JoseError:
            continue
        yield str(key.kid), algorithm

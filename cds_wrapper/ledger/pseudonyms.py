"""Identifiers become pseudonyms: HMAC-SHA-256 under a key the site holds, one key per kind of identifier.

A plain or salted hash would not do: record numbers are few enough to try them all. Losing a key breaks the
link to the patient for good, which is also how records are erased; so keys are never made up silently.
"""

from __future__ import annotations

import enum
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cds_wrapper.errors import ConfigurationRefused, Mistake

SETTING = "CDS_WRAPPER_PSEUDONYM_KEYS"
_SHORTEST_KEY_BYTES = 32
_HEX_DIGITS = 16
_READABLE_BY_OTHERS = 0o007


class KeyKind(enum.Enum):
    """What a key is for; the value is the letter a pseudonym starts with."""

    PATIENT = "p"
    ENCOUNTER = "e"
    USER = "u"


@dataclass(frozen=True, slots=True, repr=False)
class Pseudonyms:
    """The keys in force: `number` stands in every pseudonym, `key_id` beside it in every record."""

    number: int
    key_id: str
    keys: Mapping[KeyKind, bytes]

    def __repr__(self) -> str:
        return f"Pseudonyms(key_id={self.key_id!r})"

    def patient(self, system: str, value: str) -> str:
        """`p1:` and 16 hex digits for a patient's identifier in a system."""
        return self._of(KeyKind.PATIENT, system, value)

    def encounter(self, system: str, value: str) -> str:
        """`e1:` and 16 hex digits for an encounter's identifier in a system."""
        return self._of(KeyKind.ENCOUNTER, system, value)

    def user(self, system: str, value: str) -> str:
        """`u1:` and 16 hex digits for a user's identifier in a system."""
        return self._of(KeyKind.USER, system, value)

    def _of(self, kind: KeyKind, system: str, value: str) -> str:
        # An id may hold what UTF-8 cannot; it still needs a stable pseudonym.
        message = f"{system}|{value}".encode(errors="surrogatepass")
        digest = hmac.digest(self.keys[kind], message, "sha256")
        return f"{kind.value}{self.number}:{digest.hex()[:_HEX_DIGITS]}"


def new_keys_file(key_id: str, number: int = 1) -> bytes:
    """The text of a keys file with fresh random keys."""
    keys = {kind.name.lower(): secrets.token_hex(_SHORTEST_KEY_BYTES) for kind in KeyKind}
    entry = {"number": number, "key_id": key_id, **keys}
    return msgspec.json.format(msgspec.json.encode({"keys": [entry]}), indent=2) + b"\n"


def create_keys(path: Path, key_id: str) -> Pseudonyms:
    """Create a keys file with mode 0600; `FileExistsError` when there is one: keys are never replaced."""
    text = new_keys_file(key_id)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return pseudonyms_from(text, str(path))


def read_keys(path: Path) -> Pseudonyms:
    """Read the keys in force from a file; `ConfigurationRefused` says what to do when that cannot be done."""
    return pseudonyms_from(_text_of(path), str(path))


def read_every_key(path: Path) -> tuple[Pseudonyms, ...]:
    """All keys of a file, those in force first: records made under an older one are linked by that one."""
    return every_pseudonyms_from(_text_of(path), str(path))


def _text_of(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise _refused(str(path), f"cannot be read ({type(error).__name__}).") from None
    if mode & _READABLE_BY_OTHERS:
        raise _refused(str(path), "can be read by every user of this machine: chmod 600 it.")
    return text


def pseudonyms_from(text: bytes, file: str) -> Pseudonyms:
    """The keys in force in a keys file: those with the highest number; older ones are kept for linking.

    The file is JSON: `{"keys": [{"number": 1, "key_id": "2027a", "patient": HEX, "encounter": HEX, "user":
    HEX}]}`, every key at least 32 bytes. Its contents are in no message.
    """
    return _made(max(_entries(text, file), key=_number), file)


def every_pseudonyms_from(text: bytes, file: str) -> tuple[Pseudonyms, ...]:
    """Every entry of a keys file, the highest number first; a number that stands twice is refused."""
    entries = sorted(_entries(text, file), key=_number, reverse=True)
    if len({_number(one) for one in entries}) < len(entries):
        raise _refused(file, "uses one number twice: a pseudonym has to tell which keys it was made with.")
    return tuple(_made(one, file) for one in entries)


def _number(entry: Mapping[str, Any]) -> int:
    return int(entry["number"])


def _entries(text: bytes, file: str) -> list[Mapping[str, Any]]:
    try:
        entries: list[Mapping[str, Any]] = msgspec.json.decode(text)["keys"]
        max(map(_number, entries))
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, ValueError):
        raise _no_keys_file(file) from None
    return entries


def _no_keys_file(file: str) -> ConfigurationRefused:
    return _refused(
        file, "is not a keys file: `keys` lists number, key_id, patient, encounter and user (hex)."
    )


def _made(entry: Mapping[str, Any], file: str) -> Pseudonyms:
    try:
        number, key_id = _number(entry), str(entry["key_id"])
        keys = {kind: bytes.fromhex(entry[kind.name.lower()]) for kind in KeyKind}
    except (LookupError, TypeError, ValueError):
        raise _no_keys_file(file) from None
    if number < 1 or not key_id:
        raise _refused(file, "needs a `number` from 1 and a `key_id`.")
    if any(len(key) < _SHORTEST_KEY_BYTES for key in keys.values()):
        raise _refused(file, f"holds a key shorter than {_SHORTEST_KEY_BYTES} bytes.")
    if len(set(keys.values())) < len(keys):
        raise _refused(file, "uses one key twice: patients, encounters and users each need their own.")
    return Pseudonyms(number, key_id, keys)


def _refused(file: str, problem: str) -> ConfigurationRefused:
    return ConfigurationRefused((Mistake(file, None, None, SETTING, problem),))

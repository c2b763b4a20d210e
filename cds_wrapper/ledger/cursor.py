"""The stream's cursor: up to which row of each table and writer the lines are known to be written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import msgspec

from cds_wrapper.ledger.tail import Place, Places

_FORM = "stream-cursor.v1"


class _Entry(msgspec.Struct):
    table: str
    writer: str
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    hash: str


class _Document(msgspec.Struct):
    form: str
    places: list[_Entry]


class CursorFile:
    """One small file, mode 0600, replaced as a whole; raises `OSError` when it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Places | None:
        """What was saved last; nothing when there is no file, None when there is one and it is no cursor."""
        try:
            document = msgspec.json.decode(self.path.read_bytes(), type=_Document)
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if document.form != _FORM:
            return None
        return {(one.table, one.writer): Place(one.sequence, one.hash) for one in document.places}

    def save(self, places: Places) -> None:
        """Replace the file; one that a power cut left half written would cost a whole stream twice."""
        entries = [_Entry(table, writer, *place) for (table, writer), place in sorted(places.items())]
        made = self.path.with_name(self.path.name + ".new")
        with contextlib.suppress(FileNotFoundError):
            made.unlink()
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(_Document(_FORM, entries)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        made.replace(self.path)

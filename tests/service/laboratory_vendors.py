"""The laboratory's vendors: one that is asked over HTTP, and a callable. Both do what they were last told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Final, Protocol

from tests.service.harness import ROOT
from tests.service.laboratory_acts import PROBLEM, Act, Deed, Does, Says, Wire, sends
from tests.service.laboratory_adapters import MODULE, RIGHT, Adapter, answer_of

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MODEL: Final = ROOT / "tests" / "service" / "laboratory_model.py"
_SOON = 0.01


class Vendor(Protocol):
    """What a test tells a vendor and asks it."""

    @property
    def asked(self) -> int:
        """How often it was asked since it was told something."""
        ...

    def told(self, deed: Deed) -> None:
        """From now on do this."""
        ...

    def fails(self) -> None:
        """From now on do not work."""
        ...

    def hold(self) -> None:
        """Do nothing until `let_go`."""
        ...

    def let_go(self) -> None:
        """Go on."""
        ...

    async def until_asked(self) -> None:
        """Return once it was asked."""
        ...

    async def until_given_up(self) -> None:
        """Return once it has seen that nobody waits for it any more."""
        ...


class HTTPVendor:
    """Listens wherever it is bound to."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._act: Act = Says(RIGHT)
        self._free = asyncio.Event()
        self._free.set()
        self.told(self._act)

    def told(self, deed: Deed) -> None:
        assert not isinstance(deed, Does), "only a callable does that"
        self._act, self.asked = deed, 0
        self._was_asked, self._gave_up = asyncio.Event(), asyncio.Event()

    def fails(self) -> None:
        self.told(sends(PROBLEM, 503))

    def hold(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    async def until_asked(self) -> None:
        await self._was_asked.wait()

    async def until_given_up(self) -> None:
        await self._gave_up.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer question after question on one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                question = await reader.readexactly(int(length[1])) if length else b""
                self.asked += 1
                self._was_asked.set()
                await self._free.wait()
                await self._act(Wire(self._adapter, reader, writer, question, self._gave_up))
        writer.close()


class CallableVendor:
    """A module in a folder, which a process of the wrapper's imports; it is told by files there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        shutil.copyfile(_MODEL, folder / f"{MODULE}.py")
        self._folder = folder
        self.told(Says(RIGHT))

    def told(self, deed: Deed) -> None:
        assert isinstance(deed, Says | Does), "a callable does not do that"
        answer = answer_of(Adapter.PYTHON, deed.said).decode() if isinstance(deed, Says) else ""
        text = f"says {answer}" if isinstance(deed, Says) else deed.deed
        (self._folder / "told").write_text(text)
        (self._folder / "asked").write_text("")

    def fails(self) -> None:
        self.told(Does("raises"))

    def hold(self) -> None:
        (self._folder / "held").touch()

    def let_go(self) -> None:
        (self._folder / "held").unlink()

    @property
    def asked(self) -> int:
        return len(self._processes)

    @property
    def _processes(self) -> list[int]:
        return [int(line) for line in (self._folder / "asked").read_text().splitlines()]

    async def until_asked(self) -> None:
        while not self.asked:
            await asyncio.sleep(_SOON)

    async def until_given_up(self) -> None:
        """Return once the process that was asked is no more."""
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(self._processes[-1], 0)
                await asyncio.sleep(_SOON)

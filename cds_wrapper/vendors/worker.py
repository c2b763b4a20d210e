"""The process that holds a site's own callable: reads inputs, calls it, writes what it gave. Started by path.

Run as `python -I -m cds_wrapper.vendors.worker CALL FOLDER PARENT`. It speaks frames of four bytes of length
and JSON on what were standard input and output; the callable finds the null device there. It ends with its
parent, whatever the callable is doing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

LENGTH: Final = struct.Struct(">I")
READY: Final = "ready"
FAILED: Final = "failed"
RAISED: Final = "raised"
GAVE: Final = "gave"
SCORE: Final = "score"
_PR_SET_PDEATHSIG: Final = 1


def main(call: str, folder: str, parent: int) -> None:
    """Serve calls until the parent closes its end."""
    _die_with(parent)
    asked, told = os.dup(0), os.dup(1)
    _silence()
    threading.Thread(target=_watch, args=(asked,), daemon=True).start()
    function = _ready(call, folder, told)
    while (inputs := _read(asked)) is not None:
        _write(told, _outcome(function, inputs))


def _die_with(parent: int) -> None:
    """Be killed by the kernel when the parent dies, where it can do that (prctl(2)); see `_watch` too."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _watch(asked: int) -> None:
    """End this process when the parent's end of the pipe is closed, also in the middle of a call."""
    closed = select.poll()
    closed.register(asked, 0)
    closed.poll()
    os._exit(0)


def _silence() -> None:
    """Give the callable the null device for all three streams: what it prints goes nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def _ready(call: str, folder: str, told: int) -> Callable[[Any], Any]:
    """The callable, imported; tells the parent whether it could be."""
    module, _, name = call.partition(":")
    if folder:
        sys.path.insert(0, folder)
    try:
        function = getattr(importlib.import_module(module), name)
    except BaseException as error:
        _write(told, {FAILED: _kind_of(error)})
        raise
    _write(told, {READY: True})
    return function  # type: ignore[no-any-return]  # whatever the site named


def _outcome(function: Callable[[Any], Any], inputs: Any) -> Any:
    """What the callable gave, as JSON can hold it, or the kind of exception it raised and never its text.

    Whatever it raises ends here, `SystemExit` too: the next patient's call must find this process alive.
    """
    try:
        given = function(inputs)
        document = dict(given) if isinstance(given, Mapping) else {SCORE: given}
        return {GAVE: json.loads(json.dumps(document, default=_plain))}
    except BaseException as error:  # noqa: BLE001  a site's own code, in a process of its own
        return {RAISED: _kind_of(error)}


def _kind_of(error: BaseException) -> str:
    """The name of a builtin exception; any other's could be anything."""
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else "other"


def _plain(value: Any) -> Any:
    """A number of another library (numpy's have `tolist`) or a mapping as JSON has it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else float(value)


def _read(source: int) -> Any:
    """The next frame; None when the parent has closed its end."""
    head = _exactly(source, LENGTH.size)
    body = _exactly(source, LENGTH.unpack(head)[0]) if head else None
    return None if body is None else json.loads(body)


def _exactly(source: int, size: int) -> bytes | None:
    chunks: list[bytes] = []
    while size:
        chunk = os.read(source, size)
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _write(target: int, document: Any) -> None:
    body = json.dumps(document).encode()
    left = memoryview(LENGTH.pack(len(body)) + body)
    while left:
        left = left[os.write(target, left) :]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

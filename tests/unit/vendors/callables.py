"""Callables a site might bring, good and bad; imported by a worker process only."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


def score(inputs: dict[str, Any]) -> float:
    return float(inputs["age"]) / 100


def a_map(inputs: dict[str, Any]) -> Any:
    class Answer(Mapping[str, Any]):
        def __getitem__(self, name: str) -> Any:
            return {"score": inputs["age"] / 100, "version": "7"}[name]

        def __iter__(self) -> Iterator[str]:
            return iter(("score", "version"))

        def __len__(self) -> int:
            return 2

    return Answer()


class Scalar:
    """A number as other libraries have it."""

    def tolist(self) -> float:
        return 0.25


def other_number(_inputs: dict[str, Any]) -> Any:
    return Scalar()


def given(inputs: dict[str, Any]) -> Any:
    """Whatever the test wants."""
    return {"class": 1, "none": None, "text": "0.3", "list": [0.7, 0.3], "nan": float("nan"), "set": {1}}.get(
        inputs["what"]
    )


def does(inputs: dict[str, Any]) -> float:
    """Something bad, or nothing."""
    BAD[inputs["what"]]()
    return 0.5


def _raises() -> None:
    raise ValueError("Jane Canary, 63")


def _interrupts() -> None:
    raise KeyboardInterrupt


def _loops() -> None:
    while True:
        pass


def _prints() -> None:
    sys.stdout.write("Jane Canary")
    os.write(1, b"Jane Canary" * 10_000)
    os.write(2, b"Jane Canary" * 10_000)
    sys.stdin.read()


BAD: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "raise": _raises,
    "exit": lambda: sys.exit(3),
    "interrupt": _interrupts,
    "die": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "close": lambda: os.closerange(3, 64),
    "loop": _loops,
    "sleep": lambda: time.sleep(60),
    "print": _prints,
}


def whoami(_inputs: dict[str, Any]) -> dict[str, Any]:
    folders = [one for one in sys.path if "canary" in one]
    return {"score": 0.5, "seen": sorted(os.environ), "folders": folders, "here": str(Path.cwd())}

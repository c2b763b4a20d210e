"""The laboratory's callable: copied into a folder of its own, it does what the file `told` there says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLANTED = "Zanzibar-7731"
RIGHT = 0.031


def score(_inputs: Mapping[str, Any]) -> Any:
    """Do as told; `held` in the folder is waited for."""
    with (HERE / "asked").open("a") as asked:
        asked.write(f"{os.getpid()}\n")
    while (HERE / "held").exists():
        time.sleep(0.005)
    deed, _, said = (HERE / "told").read_text().partition(" ")
    return DEEDS[deed](said)


def _raises(_said: str) -> Any:
    raise ValueError(PLANTED)


def _prints(_said: str) -> Any:
    print(PLANTED)  # noqa: T201  that is what it is here for
    sys.stderr.write(PLANTED)
    os.write(1, PLANTED.encode())
    return RIGHT


def _loops(_said: str) -> Any:
    while True:
        pass


def _kills_itself(_said: str) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


DEEDS: Mapping[str, Callable[[str], Any]] = {
    "says": json.loads,
    "gives": lambda _said: RIGHT,
    "nothing": lambda _said: None,
    "object": lambda _said: object(),
    "raises": _raises,
    "prints": _prints,
    "exits": lambda _said: sys.exit(PLANTED),
    "ends": lambda _said: os._exit(3),
    "kills": _kills_itself,
    "sleeps": lambda _said: time.sleep(3600),
    "loops": _loops,
}

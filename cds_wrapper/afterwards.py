"""What is done once an answer is on its way, for several answers together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

TOGETHER: Final = 16
"""So many are done one after the other while others wait: code that has just run costs a third."""

AT_LATEST_SECONDS: Final = 0.1


class Afterwards:
    """Holds back what is to be done afterwards while other calls are under way; alone, it is done at once.

    What goes wrong in it must not change a recorded answer, nor keep the rest from being done: each is a
    callback of the loop by itself.
    """

    def __init__(self, is_alone: Callable[[], bool] = lambda: True) -> None:
        """`is_alone` says whether the call that asks is the only one under way."""
        self.is_alone = is_alone
        self._held_back: list[Callable[[], object]] = []

    def do(self, what: Callable[..., object], *about: object) -> None:
        """Do `what` soon, and at the latest in `AT_LATEST_SECONDS`."""
        self._held_back.append(partial(what, *about))
        if self.is_alone() or len(self._held_back) >= TOGETHER:
            self.do_all()
        elif len(self._held_back) == 1:
            asyncio.get_running_loop().call_later(AT_LATEST_SECONDS, self.do_all)

    def do_all(self) -> None:
        """Hold nothing back any longer."""
        loop = asyncio.get_running_loop()
        held_back, self._held_back = self._held_back, []
        for one in held_back:
            loop.call_soon(one)

"""How many calls of each client are being served at this moment, and that it is not too many."""

from __future__ import annotations

from types import TracebackType

from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.errors import TooManyCalls


class CallsInFlight:
    """Counts calls by client, so that one that floods the service takes no place from another.

    Only recognised callers are counted: somebody who merely names an EHR must not shut it out.
    """

    def __init__(self) -> None:
        """Nobody calls yet."""
        self._calls: dict[str, int] = {}

    def counted(self) -> dict[str, int]:
        """Calls being served, by client; those without one are left out."""
        return {name: calls for name, calls in self._calls.items() if calls}

    def is_one_alone(self) -> bool:
        """Whether no more than one call is being served."""
        return sum(self._calls.values()) <= 1

    def one_of(self, client: TrustedClient) -> _Place:
        """A place for one call, to be used in a `with`; `TooManyCalls` when the client has all of its own."""
        calls = self._calls.get(client.name, 0)
        if client.most_at_once is not None and calls >= client.most_at_once:
            raise TooManyCalls(client.name)
        return _Place(self._calls, client.name)


class _Place:
    """One call's place, given back however the call ends."""

    __slots__ = ("_calls", "_name")

    def __init__(self, calls: dict[str, int], name: str) -> None:
        self._calls = calls
        self._name = name

    def __enter__(self) -> None:
        self._calls[self._name] = self._calls.get(self._name, 0) + 1

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._calls[self._name] -= 1

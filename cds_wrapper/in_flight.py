"""How many calls are being served at this moment, of each client and for each service, and not too many."""

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
        self._of_services: dict[str, int] = {}

    def of_services(self) -> dict[str, int]:
        """Calls being served, by service; one that was called once stays in it."""
        return dict(self._of_services)

    def counted(self) -> dict[str, int]:
        """Calls being served, by client; those without one are left out."""
        return {name: calls for name, calls in self._calls.items() if calls}

    def is_one_alone(self) -> bool:
        """Whether no more than one call is being served."""
        return sum(self._calls.values()) <= 1

    def one_of(self, client: TrustedClient, service_id: str) -> _Place:
        """A place for one call of a service that is there, to be used in a `with`.

        `TooManyCalls` when the client has all of its own.
        """
        calls = self._calls.get(client.name, 0)
        if client.most_at_once is not None and calls >= client.most_at_once:
            raise TooManyCalls(client.name)
        return _Place((self._calls, client.name), (self._of_services, service_id))


class _Place:
    """One call's place, given back however the call ends."""

    __slots__ = ("_counts",)

    def __init__(self, *counts: tuple[dict[str, int], str]) -> None:
        self._counts = counts

    def __enter__(self) -> None:
        for calls, name in self._counts:
            calls[name] = calls.get(name, 0) + 1

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for calls, name in self._counts:
            calls[name] -= 1

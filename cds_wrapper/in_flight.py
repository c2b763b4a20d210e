"""How many calls are being served at this moment, of each client and for each service, and not too many."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.errors import Overwhelmed, TooManyCalls

REFUSED_FROM: Final = 4
"""At so many times the usual most a call is refused: even the shortest answer wants a place in the ledger."""


class CallsInFlight:
    """Counts calls by client and by service, so that no flood of one takes the places of all.

    Only recognised callers are counted: somebody who merely names an EHR must not shut it out.
    """

    def __init__(self, most: int = 256) -> None:
        """Nobody calls yet; `most` calls at one time are served in full."""
        self._most = most
        self._all = 0
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
        return self._all <= 1

    def one_of(self, client: TrustedClient, service_id: str) -> _Place:
        """A place for one call of a service that is there, to be used in a `with`.

        `TooManyCalls` when the client has all of its own, `Overwhelmed` when nobody can have one any more.
        """
        if client.most_at_once is not None and self._calls.get(client.name, 0) >= client.most_at_once:
            raise TooManyCalls(client.name)
        if self._all >= self._most * REFUSED_FROM:
            raise Overwhelmed(client.name)
        return _Place(self, client.name, service_id, is_over=self._all >= self._most)

    def change(self, client: str, service_id: str, by: int) -> None:
        """Count a call that begins (1) or ends (-1)."""
        self._all += by
        self._calls[client] = self._calls.get(client, 0) + by
        self._of_services[service_id] = self._of_services.get(service_id, 0) + by


class _Place:
    """One call's place, given back however the call ends.

    `is_over`: there are so many calls that this one can only be told so.
    """

    __slots__ = ("_calls", "_client", "_service_id", "is_over")

    def __init__(self, calls: CallsInFlight, client: str, service_id: str, *, is_over: bool) -> None:
        self._calls = calls
        self._client = client
        self._service_id = service_id
        self.is_over = is_over

    def __enter__(self) -> Self:
        self._calls.change(self._client, self._service_id, 1)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._calls.change(self._client, self._service_id, -1)

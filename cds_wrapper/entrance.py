"""The ASGI application, with a short way in for hook calls."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from cds_wrapper.routes import DISCOVERY, REFUSALS, Doors

_FORESEEN = tuple(kind for kind in REFUSALS if kind is not Exception)


class Entrance(FastAPI):
    """FastAPI, whose layers a hook call passes by: they serve endpoints of a kind that is not used here.

    What they would do for the call is done here. Saved is a third of what a bare forwarder takes.
    """

    def __init__(self, doors: Doors, **settings: Any) -> None:
        """`settings` are FastAPI's own; its routes lead to `doors` too."""
        super().__init__(**settings)
        self._doors = doors
        self.state.doors = doors
        for kind in REFUSALS:
            self.add_exception_handler(kind, doors.refuse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        service_id = _called_service(scope)
        if service_id is None or self.user_middleware:
            await super().__call__(scope, receive, send)
        else:
            scope["path_params"] = {"service_id": service_id}
            await self._answer_hook(scope, receive, send)

    async def _answer_hook(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One hook call; an error nobody foresaw goes on to the server once it is answered, to be logged."""
        request = Request(scope, receive, send)
        try:
            response = await self._doors.invoke_service(request)
        except _FORESEEN as error:
            response = await self._doors.refuse(request, error)
        except Exception as error:
            response = await self._doors.refuse(request, error)
            await response(scope, receive, send)
            raise
        await response(scope, receive, send)


def _called_service(scope: Scope) -> str | None:
    """The service of a hook call's address, or None: the router knows what to say of every other call."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
        return None
    folder, _, service_id = scope["path"].rpartition("/")
    return service_id if folder == DISCOVERY and "\n" not in service_id and service_id else None

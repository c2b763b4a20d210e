"""A vendor's address: how a call to it is signed, sent and measured, and how trouble on the way is called.

Every adapter asks through here, so that all of them record the same trouble by the same words.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, assert_never

from cds_wrapper.errors import OutboundTrouble, Trouble
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.signing import Credential
from cds_wrapper.vendors.base import Status, VendorCall
from cds_wrapper.vendors.reasons import Reason

NO_TOKEN: Final = "no_token"  # noqa: S105  the name of a reason
"""The reason of a call that was not sent, since the authorisation server gave us no token for it."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The status and the reason of a call that no whole answer came to."""

    status: Status
    reason: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Whom:
    """The address and headers of one call to a vendor that is asked by an identifier; printed nowhere."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VendorPeer:
    """Where a vendor is asked; `credential` signs each call, `size_limit` caps an answer in bytes."""

    url: str
    size_limit: int
    outbound: Outbound = field(repr=False)
    credential: Credential | None = None

    async def ask(
        self,
        body: bytes | None,
        deadline: Deadline,
        hook_instance: str | None = None,
        whom: Whom | None = None,
    ) -> tuple[Answer | Unanswered, VendorCall]:
        """POST a JSON body, or GET without one, sent at most once; never raises for trouble of the vendor's.

        `hook_instance` is the id the call goes out under, where its protocol has one.
        """
        started = time.perf_counter()
        headers = None
        size = len(body or b"")
        if self.credential is not None:
            headers = await self.credential.headers(self.url, deadline.remaining)
            if headers is None:
                call = VendorCall(_since(started), hook_instance=hook_instance)
                return Unanswered(Status.UNREACHABLE, NO_TOKEN), call
        try:
            answer = await self._send(body, deadline, headers, whom)
        except OutboundTrouble as trouble:
            call = VendorCall(_since(started), None, trouble.attempts, size, 0, hook_instance)
            return called(trouble.kind), call
        if answer.status == HTTPStatus.UNAUTHORIZED and self.credential is not None and headers is not None:
            self.credential.refused(headers)
        call = VendorCall(
            _since(started), answer.status, answer.attempts, size, len(answer.body), hook_instance
        )
        return answer, call

    async def _send(
        self, body: bytes | None, deadline: Deadline, headers: Mapping[str, str] | None, whom: Whom | None
    ) -> Answer:
        url = whom.url if whom else self.url
        sent = {**(whom.headers if whom else {}), **(headers or {})} or None
        if body is None:
            return await self.outbound.get_json(url, deadline, self.size_limit, sent)
        return await self.outbound.post_json(url, body, deadline, self.size_limit, sent)


def called(trouble: Trouble) -> Unanswered:
    """What trouble on the way out is called in the record."""
    match trouble:
        case Trouble.TIMED_OUT:
            return Unanswered(Status.TIMED_OUT)
        case Trouble.UNREACHABLE:
            return Unanswered(Status.UNREACHABLE)
        case Trouble.DNS | Trouble.REFUSED_CONNECTION | Trouble.CONNECT_TIMED_OUT | Trouble.TLS:
            return Unanswered(Status.UNREACHABLE, trouble.value)
        case Trouble.CLOSED_EARLY | Trouble.RESET | Trouble.CUT_OFF | Trouble.NOT_HTTP | Trouble.TOO_LARGE:
            return Unanswered(Status.UNREADABLE, trouble.value)
        case _:
            assert_never(trouble)


def unusable(http_status: int) -> Unanswered | None:
    """What a status says that brings no answer to be read; None for 200 alone."""
    match http_status:
        case HTTPStatus.OK:
            return None
        case HTTPStatus.PRECONDITION_FAILED:
            return Unanswered(Status.MISSING_INPUT)
        case status if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unanswered(Status.REFUSED)
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unanswered(Status.FAILED)
        case _:
            return Unanswered(Status.UNREADABLE, Reason.NOT_200.value)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000

"""Reads from the EHR's FHIR server what it did not send, in parallel and within the call's time.

Called is only a server of the client's own settings, at the address that stands there. Nothing that was sent
is read again, and nothing at all is read when nothing is missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from cds_wrapper.cds import AccessToken, CDSRequest, NotRead, Prefetch, PrefetchState, Reading
from cds_wrapper.ehr.access import AccessMode, FHIRAccess
from cds_wrapper.ehr.addresses import page_address
from cds_wrapper.ehr.answers import failed
from cds_wrapper.ehr.fhir import sort_prefetch
from cds_wrapper.ehr.pages import is_cut_short, merged, next_link, page_of, results_in
from cds_wrapper.ehr.templates import fill, most_entries
from cds_wrapper.errors import OutboundTrouble
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.own_tokens import OwnTokens
from cds_wrapper.signing import is_printable

_FHIR_JSON: Final = "application/fhir+json"
_TEMPLATE: Final = "template"
_NOTHING: Final = b"null"
_NOT_LET_IN: Final = 401


async def complete_prefetch(
    request: CDSRequest,
    templates: Mapping[str, str],
    patient_key: str,
    reader: FHIRReader | None,
    deadline: Deadline,
    waited: timedelta,
    only: Collection[str] | None = None,
) -> Prefetch:
    """What the EHR sent, sorted, and what it did not send, read from its FHIR server where that is allowed.

    Without a reader, or when nothing is missing, nobody is asked. `waited` is how long ago the call came in,
    from which its token's life is counted. `only` are the keys that may be read, where not all may.
    """
    prefetch = sort_prefetch(request, templates, patient_key)
    if reader is None:
        return prefetch
    missing = {
        key: templates[key]
        for key, state in prefetch.states.items()
        if _may_be_read(state) and (only is None or key in only)
    }
    if not missing:
        return prefetch
    started = time.perf_counter()
    completed = await reader.complete(request, prefetch, missing, patient_key, deadline, waited)
    took = (time.perf_counter() - started) * 1000
    return replace(completed, reading=replace(completed.reading, took_ms=took))


def _may_be_read(state: PrefetchState) -> bool:
    """Whether reading can help: what the EHR looked for, with whatever result, is not looked for again."""
    match state:
        case PrefetchState.ABSENT | PrefetchState.TRUNCATED:
            return True
        case PrefetchState.PRESENT | PrefetchState.EMPTY | PrefetchState.ERROR | PrefetchState.UNREADABLE:
            return False
        case PrefetchState.OTHER_PATIENT | PrefetchState.UNSUPPORTED:
            return False
        case _:
            assert_never(state)


@dataclass(frozen=True, slots=True, repr=False)
class _Door:
    """One server with the token for it, for one call; `base` is the configured text."""

    base: str
    token: str
    is_own: bool
    until: Deadline

    def __repr__(self) -> str:
        return "_Door(...)"


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """What became of one key: a value to be sorted, or a state; `trouble` says what went wrong, if it did."""

    value: bytes | None = None
    state: PrefetchState | None = None
    trouble: str | None = None
    read_at: datetime | None = None

    def __repr__(self) -> str:
        return f"_Found({self.state})"


class FHIRReader:
    """The way to one client's FHIR servers."""

    def __init__(
        self,
        access: FHIRAccess,
        outbound: Outbound,
        size_limit: int,
        tokens: OwnTokens | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`size_limit` caps each answer in bytes; `tokens` are there where the settings allow our own."""
        self._access = access
        self._outbound = outbound
        self._size_limit = size_limit
        self._tokens = tokens
        self._clock = clock

    async def complete(
        self,
        request: CDSRequest,
        prefetch: Prefetch,
        missing: Mapping[str, str],
        patient_key: str,
        deadline: Deadline,
        waited: timedelta,
    ) -> Prefetch:
        """The prefetch with whatever of `missing` (key -> template) could be read in time.

        Half of what is left is the vendor's, whatever the settings say.
        """
        until = Deadline.after(min(self._access.within, deadline.remaining / 2))
        door = await self._door(request, until, waited)
        if isinstance(door, NotRead):
            return replace(prefetch, reading=Reading({}, dict.fromkeys(missing, door.value), door))
        reads = [
            self._rest(door, prefetch.values[key], template)
            if key in prefetch.values
            else self._read(door, template, request)
            for key, template in missing.items()
        ]
        found = dict(zip(missing, await asyncio.gather(*reads), strict=True))
        return _joined(request, prefetch, found, missing, patient_key)

    async def _door(self, request: CDSRequest, until: Deadline, waited: timedelta) -> _Door | NotRead:
        """The server and the token for this call, or why there is none of them."""
        mode, named = self._access.mode, request.fhir_server
        if named is None:
            alone = self._access.servers[0] if len(self._access.servers) == 1 else None
            if alone is None or mode is AccessMode.TOKEN or request.token is not None:
                return NotRead.NO_SERVER
            return await self._own_door(alone, until)
        base = self._access.server(named)
        if base is None:
            return NotRead.HOST_REFUSED
        match mode:
            case AccessMode.BACKEND:
                return await self._own_door(base, until)
            case AccessMode.TOKEN_OR_BACKEND if request.token is None:
                return await self._own_door(base, until)
            case AccessMode.TOKEN | AccessMode.TOKEN_OR_BACKEND:
                return _callers_door(base, request.token, until, waited)
            case _:
                assert_never(mode)

    async def _own_door(self, base: str, until: Deadline) -> _Door | NotRead:
        token = await self._tokens.token(until) if self._tokens is not None else None
        return NotRead.TOKEN_UNAVAILABLE if token is None else _Door(base, token, is_own=True, until=until)

    async def _read(self, door: _Door, template: str, request: CDSRequest) -> _Found:
        """One read or search, with all its pages."""
        query = fill(template, request)
        if query is None:
            return _Found(trouble=_TEMPLATE)
        try:
            answer = await self._get(door, f"{door.base.rstrip('/')}/{query.text}")
        except OutboundTrouble as trouble:
            return _Found(state=PrefetchState.ERROR, trouble=trouble.kind.value)
        state, read_at = failed(answer, is_search=query.is_search), self._clock()
        if state is PrefetchState.EMPTY:
            return _Found(_NOTHING, read_at=read_at)
        if state is not None:
            return _Found(state=state, trouble=f"http_{answer.status}", read_at=read_at)
        first = _Found(answer.body, read_at=read_at)
        return await self._rest(door, answer.body, template, first) if query.is_search else first

    async def _rest(
        self, door: _Door, first: bytes, template: str, otherwise: _Found | None = None
    ) -> _Found:
        """The further pages put to a result's first one; without all of them, the first one as it came."""
        stays = otherwise or _Found()
        most, pages = most_entries(template), [first]
        page, left = page_of(first), most
        while page is not None and is_cut_short(page, left):
            address = page_address(next_link(page) or "", door.base)
            if address is None or len(pages) >= self._access.most_pages:
                return replace(stays, trouble="next_refused" if address is None else "most_pages")
            try:
                answer = await self._get(door, address)
            except OutboundTrouble as trouble:
                return replace(stays, trouble=trouble.kind.value)
            left = None if left is None else left - results_in(page)
            page = page_of(answer.body)
            if page is None or failed(answer, is_search=True) is not None:
                return replace(stays, trouble=f"http_{answer.status}")
            pages.append(answer.body)
        whole = merged(pages) if len(pages) > 1 else None
        return stays if whole is None else _Found(whole, read_at=self._clock())

    async def _get(self, door: _Door, address: str) -> Answer:
        headers = {"accept": _FHIR_JSON, "authorization": f"Bearer {door.token}"}
        answer = await self._outbound.get(address, door.until, self._size_limit, headers)
        if answer.status == _NOT_LET_IN and door.is_own and self._tokens is not None:
            self._tokens.forget(door.token)
        return answer


def _callers_door(
    base: str, token: AccessToken | None, until: Deadline, waited: timedelta
) -> _Door | NotRead:
    """The token that came with the call, when it can be sent and outlives whatever is begun with it."""
    if token is None:
        return NotRead.NO_TOKEN
    if not is_printable(token.value):
        return NotRead.TOKEN_UNUSABLE
    if token.lifetime is not None and token.lifetime - waited < until.remaining:
        return NotRead.TOKEN_EXPIRES
    return _Door(base, token.value, is_own=False, until=until)


def _joined(
    request: CDSRequest,
    prefetch: Prefetch,
    found: Mapping[str, _Found],
    templates: Mapping[str, str],
    patient_key: str,
) -> Prefetch:
    """What was read put to what was sent, judged by the same rules."""
    values = {key: one.value for key, one in found.items() if one.value is not None}
    read = sort_prefetch(
        replace(request, prefetch=values), {key: templates[key] for key in values}, patient_key
    )
    failures = {key: one.state for key, one in found.items() if one.state is not None}
    states = {**prefetch.states, **failures, **read.states}
    sent = {key: value for key, value in prefetch.values.items() if key not in values}
    return Prefetch(
        values={**sent, **read.values},
        states=states,
        patient=read.patient if patient_key in values else prefetch.patient,
        patient_state=states.get(patient_key, PrefetchState.ABSENT),
        reading=Reading(
            read_at={key: one.read_at for key, one in found.items() if one.read_at is not None},
            troubles={key: one.trouble for key, one in found.items() if one.trouble is not None},
        ),
    )

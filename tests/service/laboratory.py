"""The fault laboratory: one wrapper with a service for each adapter, and vendors that are told what to do.

`python -m tests.service.laboratory_times` prints the table with the measured time of each cell.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

import httpx

from cds_wrapper.vendors.base import Status
from tests.certificates import Authority
from tests.service.harness import Wrapper, request_of, wrapper
from tests.service.laboratory_adapters import PATIENT, Adapter, Place, name_of, places_of, write_service
from tests.service.laboratory_table import Before, Fault
from tests.service.laboratory_vendors import CallableVendor, HTTPVendor, Vendor

FAMILY = "Zzyzx-Testperson"
"""The patient's name in every question."""

OPEN: Final = Status.CIRCUIT_OPEN.value
_LONG: Final = 60.0
"""Seconds after which something that must happen has not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one call came to: the answer to the EHR, its records, and how often the vendor was asked."""

    answer: httpx.Response
    rows: list[dict[str, Any]]
    asked: int
    milliseconds: float

    @property
    def cards(self) -> list[dict[str, Any]]:
        """The cards the EHR was given."""
        cards: list[dict[str, Any]] = self.answer.json().get("cards", [])
        return cards

    @property
    def status(self) -> str:
        """How it ended, by its record."""
        status: str = self.rows[0]["status"]
        return status


@dataclass
class Laboratory:
    """Everything that runs."""

    wrapper: Wrapper
    vendors: Mapping[Adapter, Vendor]
    last: int = 0
    """Sequence of the last record that was looked at."""

    async def see(self, fault: Fault, adapter: Adapter) -> Seen:
        """One call while the vendor does what the fault says; of several, the one that the row is about."""
        vendor, service = self.vendors[adapter], name_of(adapter, fault.place)
        match fault.before:
            case Before.NOTHING:
                vendor.told(fault.act)
                seen = await self._call(service, vendor)
                if fault.waits:
                    await _in_time(vendor.until_given_up())
                return seen
            case Before.THREE_FAIL:
                vendor.fails()
                return await self._call_until(lambda status: status == OPEN, service, vendor)
            case Before.REST_IS_OVER:
                vendor.fails()
                await self._call_until(lambda status: status == OPEN, service, vendor)
                vendor.told(fault.act)
                return await self._call_until(lambda status: status != OPEN, service, vendor)
            case Before.ONE_HANGS:
                vendor.told(fault.act)
                return await self._call_beside(service, vendor)
            case _:
                assert_never(fault.before)

    async def _call(self, service: str, vendor: Vendor) -> Seen:
        started = time.perf_counter()
        answer = await self.wrapper.call(question(), service)
        spent = (time.perf_counter() - started) * 1000
        rows = self.wrapper.rows(after=self.last)
        self.last = rows[-1]["sequence"] if rows else self.last
        return Seen(answer, [row for row in rows if row["service_id"] == service], vendor.asked, spent)

    async def _call_until(self, enough: Callable[[str], bool], service: str, vendor: Vendor) -> Seen:
        """The first call that ends so."""
        async with asyncio.timeout(_LONG):
            while not enough((seen := await self._call(service, vendor)).status):
                await asyncio.sleep(0.02)
        return seen

    async def _call_beside(self, service: str, vendor: Vendor) -> Seen:
        """One call while another waits for the vendor."""
        vendor.hold()
        hanging = asyncio.create_task(self.wrapper.call(question(), service))
        await _in_time(vendor.until_asked())
        seen = await self._call(service, vendor)
        vendor.let_go()
        await hanging
        self.last += 1
        return seen

    async def scraped(self) -> str:
        """The whole of `/metrics`."""
        self.wrapper.app.state.doors.runtime.afterwards.do_all()
        transport = httpx.ASGITransport(app=self.wrapper.app.state.metrics)
        async with httpx.AsyncClient(transport=transport, base_url="http://metrics.example") as client:
            return (await client.get("/metrics")).text


def question() -> dict[str, Any]:
    """A hook call about a patient with a name that would be noticed."""
    body = request_of(PATIENT)
    body["prefetch"]["patient"]["name"] = [{"family": FAMILY}]
    return body


@contextlib.asynccontextmanager
async def laboratory(folder: Path) -> AsyncIterator[Laboratory]:
    """Vendors, services and a wrapper in a folder, until the block ends."""
    ours, others = Authority(folder, "ours"), Authority(folder, "others")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*others.issue("127.0.0.1"))
    asked_over_http = set(Adapter) - {Adapter.PYTHON}
    over_http = {adapter: HTTPVendor(adapter) for adapter in asked_over_http}
    callables = folder / "callables"
    vendors: dict[Adapter, Vendor] = {**over_http, Adapter.PYTHON: CallableVendor(callables)}
    async with AsyncExitStack() as stack:
        for adapter, vendor in over_http.items():
            plain = await _listening(vendor, None, stack)
            secured = await _listening(vendor, context, stack)
            for place in places_of(adapter):
                write_service(folder / "hooks", adapter, place, _base(place, plain, secured))
        for place in places_of(Adapter.PYTHON):
            write_service(folder / "hooks", Adapter.PYTHON, place, str(callables))
        running = wrapper(folder, folder / "hooks", ca_bundle=ours.certificate)
        yield Laboratory(await stack.enter_async_context(running), vendors)


async def _in_time(happening: Awaitable[object]) -> None:
    async with asyncio.timeout(_LONG):
        await happening


async def _listening(vendor: HTTPVendor, tls: ssl.SSLContext | None, stack: AsyncExitStack) -> int:
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0, ssl=tls)
    stack.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


def _base(place: Place, plain: int, secured: int) -> str:
    match place:
        case Place.REFUSED:
            return "http://127.0.0.1:9"
        case Place.NO_NAME:
            return "http://model.invalid"
        case Place.OTHER_CA:
            return f"https://127.0.0.1:{secured}"
        case _:
            return f"http://127.0.0.1:{plain}"

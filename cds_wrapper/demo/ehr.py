"""What an EHR does, for the demonstration's screen: list patients, open a chart, call the hook.

Every call goes to this machine: the demonstration's FHIR server, its vendor, and the wrapper itself. Trouble
is a value here: a part that does not answer reads as None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from cds_wrapper.demo.fhir_values import JSON, items, mapping, text
from cds_wrapper.demo.queries import PATIENT_VIEW, SERVICES
from cds_wrapper.demo.requests import (
    encounter_context,
    fill_templates,
    patient_view_context,
    write_request,
)

PATIENCE: Final = aiohttp.ClientTimeout(total=15)
FHIR_JSON: Final = "application/fhir+json"

RecordFinder = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""The row of `predictions_v1` that a hook instance led to; None when there is none."""

VendorSwitch = Callable[[bool], Awaitable[bool]]
"""Starts (True) or stops the vendor's process; whether it is now as was asked."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the screen stands among: three addresses without a path, a record, a switch.

    `token` opens the FHIR server, for the screen itself and for whom it is passed on to.
    """

    fhir_url: str
    wrapper_url: str
    vendor_url: str
    find_record: RecordFinder
    switch_vendor: VendorSwitch
    token: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Firing:
    """What the EHR fires a hook about; `encounter_id` is None outside a hospital stay."""

    hook: str
    patient_id: str
    encounter_id: str | None = None

    @property
    def service_id(self) -> str:
        """The service that answers this hook."""
        return SERVICES[self.hook]

    @property
    def context(self) -> dict[str, str]:
        """The hook's context; a hook about a stay names it."""
        if self.hook == PATIENT_VIEW or self.encounter_id is None:
            return patient_view_context(self.patient_id)
        return encounter_context(self.patient_id, self.encounter_id)


@dataclass(frozen=True, slots=True, repr=False)
class HookAnswer:
    """What came back from a hook call; `cards` is empty when the answer was none or not JSON."""

    hook_instance: str
    http_status: int | None
    body: JSON
    prefetch_keys: tuple[str, ...]
    prefetch_asked: int

    @property
    def cards(self) -> list[JSON]:
        """The cards of the answer."""
        return [mapping(card) for card in items(self.body.get("cards"))]

    def __repr__(self) -> str:
        return f"HookAnswer({self.http_status})"


class EHR:
    """The calls one page of the screen makes, over one session."""

    def __init__(self, session: aiohttp.ClientSession, around: Surroundings) -> None:
        self._session = session
        self._around = around

    async def find(self, query: str) -> JSON | None:
        """A FHIR read or search, relative to the server's base; None when the server gave none."""
        return await self._get(f"{self._around.fhir_url}/{query}")

    async def search(self, query: str) -> list[JSON] | None:
        """The resources of a FHIR search's first page; None when the server does not answer."""
        bundle = await self.find(query)
        if bundle is None:
            return None
        return [mapping(mapping(entry).get("resource")) for entry in items(bundle.get("entry"))]

    async def fire(
        self, firing: Firing, hook_instance: str, sends_prefetch: bool = True
    ) -> HookAnswer | None:
        """Fire a hook: discovery, prefetch, call. None when the service is not offered.

        Without prefetch the call brings the FHIR server's address and a token for it instead.
        """
        templates = await self._templates(firing)
        if templates is None:
            return None
        context = firing.context
        queries = fill_templates(templates, context)
        if sends_prefetch:
            found = await asyncio.gather(*(self.find(query) for query in queries.values()))
            prefetch = {key: value for key, value in zip(queries, found, strict=True) if value is not None}
            body = write_request(firing.hook, hook_instance, context, prefetch)
        else:
            prefetch, access = {}, _access(self._around.token)
            body = write_request(firing.hook, hook_instance, context, {}, self._around.fhir_url, access)
        url = f"{self._around.wrapper_url}/cds-services/{firing.service_id}"
        status, answer = await self._post(url, body)
        return HookAnswer(hook_instance, status, answer, tuple(prefetch), len(queries))

    async def order_fault(self, mode: str, seconds: float) -> bool:
        """Tell the vendor how to misbehave from now on; whether it took the order."""
        order = {"mode": mode, "seconds": seconds}
        status, _ = await self._post(f"{self._around.vendor_url}/demo/fault", order)
        return status == 200

    async def _templates(self, firing: Firing) -> dict[str, str] | None:
        discovery = await self._get(f"{self._around.wrapper_url}/cds-services") or {}
        for service in map(mapping, items(discovery.get("services"))):
            if service.get("id") == firing.service_id and service.get("hook") == firing.hook:
                return {key: text(query) for key, query in mapping(service.get("prefetch")).items()}
        return None

    async def _get(self, url: str) -> JSON | None:
        try:
            headers = {"Accept": f"{FHIR_JSON}, application/json"}
            if self._around.token and url.startswith(f"{self._around.fhir_url}/"):
                headers["Authorization"] = f"Bearer {self._around.token}"
            async with self._session.get(url, headers=headers) as response:
                return _decoded(await response.read()) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _post(self, url: str, body: Mapping[str, Any]) -> tuple[int | None, JSON]:
        encoded = msgspec.json.encode(body)
        try:
            async with self._session.post(
                url, data=encoded, headers={"Content-Type": "application/json"}
            ) as response:
                return response.status, _decoded(await response.read()) or {}
        except (aiohttp.ClientError, TimeoutError):
            return None, {}


def _access(token: str) -> Mapping[str, Any]:
    """The member `fhirAuthorization` (CDS Hooks 2.0.1, "Passing the Access Token to the CDS Service")."""
    return {
        "access_token": token or "demonstration",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/Patient.read patient/Observation.read patient/Condition.read"
        " patient/MedicationRequest.read patient/Encounter.read",
        "subject": "cds-wrapper-demonstration",
    }


def _decoded(body: bytes) -> JSON | None:
    try:
        return mapping(msgspec.json.decode(body))
    except msgspec.DecodeError:
        return None

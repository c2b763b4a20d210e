"""The demonstration's EHR screen: pick a patient, see the card, and beside it what was recorded.

Mounted by the `demo` command alone. No patient id stands in an address: every choice is a POST. The page
works without scripts; its one script only saves reloading.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cds_wrapper.demo.card_view import CardView, view_card
from cds_wrapper.demo.chart import Chart, Listed, chart_of, current_stay, listed
from cds_wrapper.demo.ehr import EHR, PATIENCE, Firing, HookAnswer, Surroundings
from cds_wrapper.demo.faults import Fault
from cds_wrapper.demo.fhir_values import JSON, text
from cds_wrapper.demo.queries import ENCOUNTER_DISCHARGE, ENCOUNTER_START, PATIENT_VIEW, SERVICES
from cds_wrapper.demo.record_view import RecordView, view_record

__all__ = ["Surroundings", "screen_routes"]

ASSETS: Final = "/demo-screen"
_LARGEST_FORM: Final = 10_000
_LOOKS: Final = 20
_BETWEEN_LOOKS: Final = timedelta(seconds=0.1)
_MEDIA_TYPES: Final = {"screen.css": "text/css", "screen.js": "text/javascript", "icon.svg": "image/svg+xml"}
_HEADERS: Final = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not `no-referrer`: a browser would then send our own forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A way in which the vendor can fail; without a fault its process is stopped. `seconds` delays it."""

    name: str
    label: str
    meaning: str
    fault: Fault | None
    seconds: float = 0.0


REHEARSALS: Final = (
    Rehearsal("ok", "Answers", "as it should", Fault.OK),
    Rehearsal("slow", "Slow", "answers after three seconds", Fault.SLOW, 3.0),
    Rehearsal("down", "Down", "its process is stopped", None),
    Rehearsal("cut", "Cut off", "the connection breaks in the middle", Fault.DISCONNECT),
    Rehearsal("error", "Error", "an error of its own, status 500", Fault.ERROR),
    Rehearsal("html", "Web page", "a sign-in page instead of data", Fault.HTML),
    Rehearsal("huge", "20 MB", "far more than was asked for", Fault.HUGE),
    Rehearsal("truncated", "Truncated", "data that stops in the middle", Fault.TRUNCATED),
    Rehearsal("no_cards", "Nothing to say", "an empty list of cards", Fault.NO_CARDS),
)
_BY_NAME: Final[Mapping[str, Rehearsal]] = {one.name: one for one in REHEARSALS}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something a clinician does, and the hook an EHR fires then; all but the first need a hospital stay."""

    hook: str
    label: str

    @property
    def service_id(self) -> str:
        return SERVICES[self.hook]


MOMENTS: Final = (
    Moment(PATIENT_VIEW, "Opens the chart"),
    Moment(ENCOUNTER_START, "Admits the patient"),
    Moment(ENCOUNTER_DISCHARGE, "Discharges the patient"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Choice:
    """What a form asked for."""

    patient: str = ""
    hook: str = ""
    fault: str = ""
    sends: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """A patient's chart with what the hook brought; `answer` and `record` are None when a part is away.

    `moments` are those that can be for this patient, `now` is the one that the hook was fired for.
    """

    chart: Chart
    moments: tuple[Moment, ...]
    now: Moment
    answer: HookAnswer | None
    cards: tuple[CardView, ...]
    record: RecordView | None
    raw: str


def screen_routes(around: Surroundings) -> list[BaseRoute]:
    """The screen's routes, for the wrapper's application."""
    screen = Screen(around)
    return [
        Route("/", screen.show, methods=["GET"]),
        Route("/", screen.choose, methods=["POST"]),
        Route(ASSETS + "/{name}", asset, methods=["GET"]),
    ]


class Screen:
    """The screen, and what it remembers: how the vendor was last told to behave, and what the EHR sends."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._now = REHEARSALS[0]
        self._sends_prefetch = True
        self._template = Environment(
            loader=PackageLoader("cds_wrapper.demo"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        ).get_template("screen.html")

    async def show(self, _request: Request) -> Response:
        """The screen before a patient is chosen."""
        return await self._page(Choice())

    async def choose(self, request: Request) -> Response:
        """The screen after a button: a patient, a way to misbehave, or a search by name."""
        if _came_from_elsewhere(request):
            return Response("This form belongs to another site.", 403, _HEADERS, "text/plain")
        choice = _choice(await request.body())
        if choice is None:
            return Response("This form cannot be read.", 400, _HEADERS, "text/plain")
        return await self._page(choice)

    async def _page(self, choice: Choice) -> Response:
        async with aiohttp.ClientSession(timeout=PATIENCE, cookie_jar=aiohttp.DummyCookieJar()) as session:
            ehr = EHR(session, self._around)
            await self._obey(ehr, choice.fault)
            self._sends_prefetch = {"prefetch": True, "token": False}.get(choice.sends, self._sends_prefetch)
            everybody, opened = await asyncio.gather(
                _list_patients(ehr, choice.query), self._open(ehr, choice)
            )
        cases, others = everybody if everybody is not None else ([], [])
        html = self._template.render(
            assets=ASSETS,
            cases=cases,
            others=others,
            reachable=everybody is not None,
            query=choice.query,
            selected=opened.chart.patient.id if opened else "",
            opened=opened,
            rehearsals=REHEARSALS,
            now=self._now,
            sends_prefetch=self._sends_prefetch,
        )
        return Response(html, headers=_HEADERS, media_type="text/html")

    async def _obey(self, ehr: EHR, name: str) -> None:
        """Make the vendor behave as asked; what could not be done is not claimed."""
        wanted = _BY_NAME.get(name)
        if wanted is None or not await self._around.switch_vendor(wanted.fault is not None):
            return
        if wanted.fault is None or await ehr.order_fault(wanted.fault.value, wanted.seconds):
            self._now = wanted

    async def _open(self, ehr: EHR, choice: Choice) -> Opened | None:
        """Read the chart and fire the hook; None without a patient."""
        if not _PATIENT_ID.fullmatch(choice.patient):
            return None
        read = await _read_chart(ehr, choice.patient)
        if read is None:
            return None
        chart, stay = read
        moments = MOMENTS if stay else MOMENTS[:1]
        wanted = choice.hook or chart.patient.hook
        now = next((one for one in moments if one.hook == wanted), moments[0])
        firing = Firing(now.hook, choice.patient, text(stay.get("id")) if stay else None)
        answer = await ehr.fire(firing, str(uuid.uuid4()), self._sends_prefetch)
        row = await self._record_of(answer.hook_instance) if answer else None
        return Opened(
            chart=chart,
            moments=moments,
            now=now,
            answer=answer,
            cards=tuple(view_card(card) for card in answer.cards) if answer else (),
            record=view_record(row) if row else None,
            raw=msgspec.json.format(msgspec.json.encode(answer.body), indent=2).decode() if answer else "",
        )

    async def _record_of(self, hook_instance: str) -> Mapping[str, Any] | None:
        """The record of a call; one that went through the spool is in the ledger a moment later."""
        for _ in range(_LOOKS):
            row = await self._around.find_record(hook_instance)
            if row is not None:
                return row
            await asyncio.sleep(_BETWEEN_LOOKS.total_seconds())
        return None


async def _list_patients(ehr: EHR, query: str) -> tuple[list[Listed], list[Listed]] | None:
    name = f"&name={quote(query, safe='')}" if query else ""
    patients = await ehr.search(f"Patient?_sort=family&_count=500{name}")
    return None if patients is None else listed(patients, datetime.now(UTC).date())


async def _read_chart(ehr: EHR, patient_id: str) -> tuple[Chart, JSON | None] | None:
    """The chart and the stay that is going on; None when there is no such patient."""
    known = quote(patient_id, safe="")
    patient, observations, conditions, medications, encounters = await asyncio.gather(
        ehr.find(f"Patient/{known}"),
        ehr.search(f"Observation?patient={known}&_sort=-date&_count=100"),
        ehr.search(f"Condition?patient={known}&clinical-status=active"),
        ehr.search(f"MedicationRequest?patient={known}&status=active"),
        ehr.search(f"Encounter?patient={known}"),
    )
    if patient is None:
        return None
    today = datetime.now(UTC).date()
    chart = chart_of(
        patient, observations or [], conditions or [], medications or [], encounters or [], today
    )
    return chart, current_stay(encounters or [])


_PATIENT_ID = re.compile(r"[A-Za-z0-9-][A-Za-z0-9.-]{0,63}")
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def _came_from_elsewhere(request: Request) -> bool:
    """Whether a browser says that another site sent the form, or reached us under a name that is not ours.

    The names guard against a site that points its own name at this machine (DNS rebinding).
    """
    headers = request.headers
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    origin = headers.get("origin")
    return (
        host not in _OWN_NAMES
        or headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
        or (origin is not None and urlsplit(origin).netloc != headers.get("host"))
    )


def _choice(body: bytes) -> Choice | None:
    """The fields of a form; None when it is too large or no form."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10) if len(body) <= _LARGEST_FORM else None
    except ValueError:
        return None
    if fields is None:
        return None
    found = {name: values[0] for name, values in fields.items() if name in Choice.__dataclass_fields__}
    return replace(Choice(), **found)


async def asset(request: Request) -> Response:
    """The style sheet or the script."""
    name = request.path_params["name"]
    if name not in _MEDIA_TYPES:
        return Response("There is no such file.", 404, media_type="text/plain")
    content = files("cds_wrapper.demo").joinpath("static", name).read_bytes()
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[name])

"""FHIR resources in memory: what the FHIR server serves and the request fixtures are filled from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from cds_wrapper.demo.fhir_search import TYPES, Matches, Parameters, Problem, patient_of, search
from cds_wrapper.demo.fhir_values import JSON, text

_NO_TYPE = Problem(404, "not-supported", "this server does not hold resources of that type")
_NO_RESOURCE = Problem(404, "not-found", "there is no such resource")


class Store:
    """Read-only once built; answers what the HTTP server answers."""

    def __init__(self, resources: Iterable[JSON]) -> None:
        self._by_type: dict[str, dict[str, JSON]] = {kind: {} for kind in TYPES}
        self._by_patient: dict[tuple[str, str], list[JSON]] = defaultdict(list)
        for one in resources:
            kind = text(one["resourceType"])
            self._by_type[kind][text(one["id"])] = one
            self._by_patient[kind, patient_of(one)].append(one)

    def read(self, kind: str, resource_id: str) -> JSON | Problem:
        """Return one resource."""
        if kind not in self._by_type:
            return _NO_TYPE
        return self._by_type[kind].get(resource_id, _NO_RESOURCE)

    def search(self, kind: str, parameters: Parameters) -> Matches | Problem:
        """Search one type."""
        if kind not in self._by_type:
            return _NO_TYPE
        return search(self._candidates(kind, parameters), kind, parameters)

    def _candidates(self, kind: str, parameters: Parameters) -> Iterable[JSON]:
        """Narrow to one patient's resources where the query names one; `search` still filters."""
        for name, value in parameters:
            if name in {"patient", "subject"} and "," not in value:
                return self._by_patient.get((kind, value.rstrip("/").rsplit("/", 1)[-1]), ())
        return self._by_type[kind].values()

    def answer(self, query: str, base_url: str) -> JSON | Problem:
        """Answer a relative FHIR query ("Patient/1", "Observation?patient=1&...") as the server would."""
        path, _, written = query.partition("?")
        kind, _, resource_id = path.partition("/")
        if resource_id:
            return self.read(kind, unquote(resource_id))
        parameters = parse_qsl(written, keep_blank_values=True)
        found = self.search(kind, parameters)
        return found if isinstance(found, Problem) else searchset(found, kind, parameters, base_url)


def searchset(matches: Matches, kind: str, parameters: Parameters, base_url: str) -> dict[str, Any]:
    """Write one page as a Bundle with `self` and, while there is more, `next`."""
    links = [{"relation": "self", "url": _address(kind, parameters, base_url)}]
    if matches.has_more:
        rest = [(name, value) for name, value in parameters if name not in {"_offset", "_count"}]
        after = [*rest, ("_count", str(matches.count)), ("_offset", str(matches.offset + matches.count))]
        links.append({"relation": "next", "url": _address(kind, after, base_url)})
    entries = [
        {"fullUrl": f"{base_url}/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in matches.page
    ]
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": matches.total,
        "link": links,
    }
    return bundle | ({"entry": entries} if entries else {})


def _address(kind: str, parameters: Parameters, base_url: str) -> str:
    query = urlencode(list(parameters), quote_via=quote, safe=":/,")
    return f"{base_url}/{kind}" + (f"?{query}" if query else "")

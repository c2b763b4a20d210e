"""The pages behind a card: what is known about a score, what is not, and what the hospital decided.

    /evidence/{service}/{edition}/{token}   behind a card: the caveat again, then everything around it
    /evidence/{service}                     the same without a caveat
    /evidence/{service}/model               the model: every published figure, every source attribute

A token is made from an edition and a finding, never from a patient. The pages behind a card name no group
that a card may not name; a token that is unknown or of another edition gives the service's general page. They
work without scripts, load nothing from elsewhere, send no referrer and are kept in no cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cds_wrapper.caveats.evidence import GENERAL
from cds_wrapper.caveats.orders import Order
from cds_wrapper.caveats.policy import key_of
from cds_wrapper.pages.attributes import source_attributes
from cds_wrapper.pages.caveat_lines import caveat_lines, overall_result
from cds_wrapper.pages.decisions import decisions_of, ordered
from cds_wrapper.pages.here import results_here
from cds_wrapper.pages.inputs import doubted_inputs
from cds_wrapper.pages.meaning import meaning_of
from cds_wrapper.pages.page import STYLE, page, style
from cds_wrapper.pages.published import (
    hidden_in,
    horizon,
    may_say,
    not_found,
    studies_of,
    training_rows,
    untold_training,
)
from cds_wrapper.pages.small_cells import SMALLEST_COUNT
from cds_wrapper.services import ServiceCatalog, ServiceDefinition


def evidence_routes(
    catalog_source: Callable[[], ServiceCatalog], order_of: Callable[[str], Order | None] = lambda _: None
) -> list[BaseRoute]:
    """The routes of these pages; catalog and orders are asked for anew at every request.

    `order_of` gives the last order about a service.
    """
    pages = EvidencePages(catalog_source, order_of)
    return [
        Route(STYLE, style, methods=["GET"]),
        Route("/evidence/{service}", pages.general, methods=["GET"]),
        Route("/evidence/{service}/model", pages.model, methods=["GET"]),
        Route("/evidence/{service}/{edition}/{token}", pages.behind_a_card, methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class EvidencePages:
    """The pages over a catalog and the orders in force."""

    catalog_source: Callable[[], ServiceCatalog]
    order_of: Callable[[str], Order | None] = lambda _: None

    async def general(self, request: Request) -> Response:
        """A service's page without a caveat."""
        service = self._service(request)
        if service is None:
            return _no_service()
        return page("evidence.html", **evidence_page(service, GENERAL, self.order_of(service.id)))

    async def behind_a_card(self, request: Request) -> Response:
        """The page a card links to; an unknown or old token gives the general page, never 404."""
        service = self._service(request)
        if service is None:
            return _no_service()
        is_current = request.path_params["edition"] == service.book.edition
        key = key_of(service.book, request.path_params["token"]) if is_current else GENERAL
        shown = evidence_page(service, key, self.order_of(service.id), superseded=not is_current)
        return page("evidence.html", **shown)

    async def model(self, request: Request) -> Response:
        """Every published figure by group and every source attribute; the same for everybody."""
        service = self._service(request)
        return _no_service() if service is None else page("model.html", **model_page(service))

    def _service(self, request: Request) -> ServiceDefinition | None:
        """The first service of the address's id; entries for several hooks share their files."""
        found = self.catalog_source().of(request.path_params["service"])
        return found[0] if found else None


def evidence_page(
    service: ServiceDefinition, key: str, order: Order | None = None, *, superseded: bool = False
) -> dict[str, Any]:
    """What the page for one key shows; `superseded` says that the card came with another edition.

    `order` is the last one about the service.
    """
    lines = caveat_lines(service, key)
    reason = lines.reason
    card, scheme = service.card, service.scheme
    hidden = hidden_in(card, scheme)
    return {
        "service": service,
        "horizon": horizon(service.outcome.horizon),
        "lines": lines,
        "meaning": meaning_of(reason.reason if reason else None, reason.direction if reason else None),
        "doubted_inputs": doubted_inputs(service, all_groups=False),
        "rules": [rule.say for rule in card.out_of_scope if may_say(rule, scheme, hidden)],
        "overall": overall_result(service),
        "here": results_here(service, key),
        "smallest_count": SMALLEST_COUNT,
        "studies": studies_of(card, scheme, all_groups=False),
        "not_found": not_found(card, scheme, all_groups=False),
        "untold_training": untold_training(card, scheme, all_groups=False),
        "attributes": source_attributes(card, hidden),
        "decisions": decisions_of(service),
        "order": ordered(service, order),
        "superseded": superseded,
    }


def model_page(service: ServiceDefinition) -> dict[str, Any]:
    """What the model's own page shows."""
    card, scheme = service.card, service.scheme
    return {
        "service": service,
        "horizon": horizon(service.outcome.horizon),
        "studies": studies_of(card, scheme, all_groups=True),
        "training": training_rows(card, scheme),
        "doubted_inputs": doubted_inputs(service, all_groups=True),
        "not_found": not_found(card, scheme, all_groups=True),
        "attributes": source_attributes(card, frozenset()),
    }


def _no_service() -> Response:
    return page("unknown.html", 404)

"""How a page leaves: its template, and what the browser is told about it.

Pages work without scripts, load nothing from elsewhere and send no referrer.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

STYLE: Final = "/evidence-style/pages.css"
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_TEMPLATES: Final = Environment(
    loader=PackageLoader("cds_wrapper.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html_of(template: str, **values: object) -> str:
    """A page as text."""
    return _TEMPLATES.get_template(template).render(style=STYLE, **values)


def page(template: str, status: int = 200, **values: object) -> Response:
    """A page as an answer."""
    return Response(html_of(template, **values), status, headers=HEADERS, media_type="text/html")


async def style(_request: Request) -> Response:
    """The style sheet of these pages."""
    content = files("cds_wrapper.pages").joinpath("static", "pages.css").read_bytes()
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type="text/css")

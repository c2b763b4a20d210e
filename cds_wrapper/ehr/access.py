"""What a client's FHIR server may be read for, as the integration team declared it. Pure values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cds_wrapper.ehr.addresses import normal_address
from cds_wrapper.signing import OwnKey

_LONGEST_ADDRESS: Final = 2048


class AccessMode(enum.Enum):
    """With whose token a server is read."""

    TOKEN = "token"  # noqa: S105  the name of a mode
    BACKEND = "backend"
    TOKEN_OR_BACKEND = "token_or_backend"  # noqa: S105  the name of a mode


@dataclass(frozen=True, slots=True)
class BackendClient:
    """How we ask an authorisation server for a token of our own (SMART Backend Services)."""

    token_url: str
    client_id: str
    scope: str
    key: OwnKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class FHIRAccess:
    """The FHIR servers of one client, as configured; `backend` is there unless the mode is `token`.

    `most_pages` is the most pages of one result, the first included; `within` the part of a service's time
    budget that reading may take, and never more than half of what is left of it.
    """

    servers: tuple[str, ...]
    mode: AccessMode
    most_pages: int
    within: timedelta
    backend: BackendClient | None = None

    def server(self, address: str) -> str | None:
        """The configured text of the server a caller names; None when it is not listed."""
        if len(address) > _LONGEST_ADDRESS:
            return None
        named = normal_address(address)
        return next((one for one in self.servers if normal_address(one) == named), None)

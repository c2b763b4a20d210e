"""`orders`: which services are stopped or in shadow, since when, by which role and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.commands.ordering import AsJSON, Ledgers, in_words, known_services, moment
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.decisions import orders_in
from cds_wrapper.settings import read_settings


def command(ledger: Ledgers = None, as_json: AsJSON = False) -> None:
    """List what is in force for each service. Earlier orders are written out by `export decisions`.

    \b
    Exit codes: 0 listed, 2 a setting is wrong or a ledger cannot be read.

    \b
    Example: python3 run.py orders --json
    """
    try:
        settings = read_settings()
        services = known_services(settings.hooks)
        found = {path: orders_in(path) for path in ledger or [settings.ledger_path]}
    except (ConfigurationRefused, LedgerUnavailable) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    states = [state for path, orders in found.items() for state in _states(path, services, orders)]
    if as_json:
        typer.echo(json.dumps({"services": [state.document() for state in states]}, indent=2))
        return
    for state in states:
        typer.echo(state.in_words())


@dataclass(frozen=True, slots=True)
class _State:
    """One service in one ledger, and the last order about it."""

    ledger: Path
    service_id: str
    order: Order | None

    def document(self) -> dict[str, object]:
        order = self.order
        told: dict[str, object] = {"ledger": str(self.ledger), "service": self.service_id}
        if order is None:
            return told | {"state": Ordered.LIVE.value, "decision_id": None}
        return told | {
            "state": order.decision.value,
            "decision_id": order.decision_id,
            "since": order.since.isoformat(timespec="milliseconds"),
            "by": order.by,
            "second": order.second,
            "why": order.why,
            "plan_version": order.plan_version,
        }

    def in_words(self) -> str:
        order = self.order
        if order is None:
            return f"{self.service_id} is live: no order was ever given. ({self.ledger})"
        roles = order.by if order.second is None else f"{order.by} and {order.second}"
        since = f"since {moment(order.since)}, by order of {roles}: {order.why}"
        return f"{self.service_id} {in_words(order.decision)} {since}. ({self.ledger})"


def _states(path: Path, services: Iterable[str], orders: Mapping[str, Order]) -> list[_State]:
    return [_State(path, name, orders.get(name)) for name in dict.fromkeys((*services, *orders))]

"""`stop`: switch a service off, at once and on the record."""

from __future__ import annotations

from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.commands.ordering import AsJSON, By, Ledgers, Service, Why, order


def command(service: Service, by: By, why: Why, ledger: Ledgers = None, as_json: AsJSON = False) -> None:
    """Switch a service off: its vendor is not asked any more, and a card says so.

    It takes one role and runs beside the service, into its ledger. The process that serves with that ledger
    follows within 5 seconds; one that starts is under the order from its first request. Where several
    processes serve the same service, each has a ledger of its own: name all of them with --ledger.

    \b
    Exit codes: 0 in force, 2 an option or a setting is wrong or a ledger could not be written (then it is NOT
    in force there), 3 no such service.

    \b
    Example: python3 run.py stop cvd-risk --by "informatician on call" --why "vendor recalled version 2023.1"
    """
    order(Ordered.STOP, service, by, None, why, ledger, as_json)

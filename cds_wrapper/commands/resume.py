"""`resume`: make a service live again that was stopped or put in shadow."""

from __future__ import annotations

from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.commands.ordering import AsJSON, By, Ledgers, Second, Service, Why, order


def command(
    service: Service,
    by: By,
    why: Why,
    second: Second = None,
    ledger: Ledgers = None,
    as_json: AsJSON = False,
) -> None:
    """Lift the order that stopped a service or put it in shadow. Loosening takes two different roles.

    What the response plan decided stays: a model version it does not list, and a service that it says was
    never live, are recorded and not shown. When it is in force and what to do with several ledgers is as with
    `stop`.

    \b
    Exit codes: 0 in force, 2 an option or a setting is wrong, a second role is needed or a ledger could not
    be written (then it is NOT in force there), 3 no such service.

    \b
    Example: python3 run.py resume cvd-risk --by "clinical owner" --second "AI committee chair" --why "fixed"
    """
    order(Ordered.LIVE, service, by, second, why, ledger, as_json)

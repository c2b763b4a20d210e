"""`shadow`: keep asking the vendor and recording, and show nothing of it."""

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
    """Put a service in shadow: its vendor is asked and everything recorded, but no score is shown.

    From live it takes one role; from stop, which it loosens, two. When it is in force and what to do with
    several ledgers is as with `stop`.

    \b
    Exit codes: 0 in force, 2 an option or a setting is wrong, a second role is needed or a ledger could not
    be written (then it is NOT in force there), 3 no such service.

    \b
    Example: python3 run.py shadow cvd-risk --by "AI committee chair" --why "scores too low since the update"
    """
    order(Ordered.SHADOW, service, by, second, why, ledger, as_json)

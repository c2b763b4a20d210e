"""The page of the fault table, for whoever is called at night."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cds_wrapper.vendors.base import ModelVersion, NoPrediction, VendorCall, VersionSource
from cds_wrapper.vendors.circuit import Verdict
from cds_wrapper.vendors.guard import verdict_of
from tests.service.harness import ROOT
from tests.service.laboratory_adapters import Adapter
from tests.service.laboratory_faults import TABLE
from tests.service.laboratory_table import Card, Cell, Fault, Never

PAGE: Final = ROOT / "docs" / "reference" / "vendor-faults.md"
COMMAND: Final = ".venv/bin/python -m tests.service.laboratory_page"

_HEAD: Final = f"""<!-- Written from its table by `{COMMAND}`; change the table, not this page. -->

# What a vendor can do wrong, and what becomes of it

Every fault below is made by a vendor on loopback and met by every adapter, in
[the tests](../../tests/service/test_laboratory.py). Whatever happens, the EHR gets HTTP 200 in time, the call
has one record, no question is sent twice, and nothing of the vendor's text and nothing of the patient is in
the operator log, the metrics or the record. `on_vendor_failure` may ask for something else than a card.

`status` and `reason` stand so in the record, in the operator log and in the metrics. *HTTP* is
`vendor_http_status`, *tries* is `vendor_attempts`: connections that were tried, 2 only where none came about.
*Rest* says whether so many of them in a row (`vendor.circuit`) give the vendor a rest. `look-up` is `rest`
with `look_up`, `python` a callable in a process of ours, without an HTTP status. [Vendor
reasons](vendor-reasons.md) says what each reason means.

What the clinician reads:

* **score**: the vendor's card, or the site's own with the score.
* **no result**: no result right now. This does not mean low risk.
* **not calculated**: what is missing is named where the vendor names it. This does not mean low risk.
* **too old**: the time of the last score, and not the score.
* **paused**: scores are being checked; they are calculated and recorded, and not shown.
* **none**: no card at all, since the vendor had nothing to say.
"""

_CARDS: Final = {
    Card.SCORE: "score",
    Card.NO_RESULT: "no result",
    Card.NOT_CALCULATED: "not calculated",
    Card.STALE: "too old",
    Card.PAUSED: "paused",
    Card.NONE: "none",
}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_chapter(title, faults) for title, faults in TABLE.items())])


def _chapter(title: str, faults: tuple[Fault, ...]) -> str:
    head = "| the vendor | adapter | status | reason | HTTP | tries | card | rest |\n" + "| --- " * 8 + "|"
    rows = [line for fault in faults for line in _rows(fault)]
    table = "\n".join([head, *rows])
    return f"## {title}\n\n{table}\n\n{_what_to_do(faults)}{_what_cannot_happen(faults)}"


def _rows(fault: Fault) -> list[str]:
    """One line for each outcome, with the adapters that share it; a callable has no HTTP status."""
    sharing: dict[Cell, dict[Adapter, Cell]] = {}
    for adapter, outcome in fault.cells.items():
        if isinstance(outcome, Cell):
            sharing.setdefault(replace(outcome, http=None), {})[adapter] = outcome
    return [
        _line(fault.name if at == 0 else "", _named(list(alike)), next(iter(alike.values())))
        for at, alike in enumerate(sharing.values())
    ]


def _what_cannot_happen(faults: tuple[Fault, ...]) -> str:
    """Why an adapter has no line, once for all faults of a reason."""
    spared: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        for why in {cell.why: None for cell in fault.cells.values() if isinstance(cell, Never)}:
            adapters = [adapter for adapter, cell in fault.cells.items() if cell == Never(why)]
            spared.setdefault((_named(adapters), why), []).append(fault.name)
    lines = [
        f"* {adapters}, *{_everything(names, faults)}*: {why}." for (adapters, why), names in spared.items()
    ]
    return "\nCannot happen to:\n\n" + "\n".join(lines) + "\n" if lines else ""


def _everything(names: list[str], faults: tuple[Fault, ...]) -> str:
    return "all of these" if len(names) == len(faults) else "; ".join(names)


def _named(adapters: list[Adapter]) -> str:
    if len(adapters) == len(Adapter):
        return "all"
    if set(Adapter) - set(adapters) == {Adapter.PYTHON}:
        return "all but python"
    return ", ".join(adapter.value for adapter in adapters)


def _line(name: str, adapters: str, outcome: Cell) -> str:
    reason = f"`{outcome.reason.value}`" if outcome.reason else ""
    http = outcome.http or ""
    return (
        f"| {name} | {adapters} | `{outcome.status.value}` | {reason} | {http} | {outcome.attempts}"
        f" | {_CARDS[outcome.card]} | {_rest(outcome)} |"
    )


def _rest(cell: Cell) -> str:
    """Whether it counts against the vendor, as the guard itself says."""
    if cell.card in {Card.SCORE, Card.PAUSED, Card.NONE}:
        return "no"
    model = ModelVersion("", "", VersionSource.CONFIGURATION)
    reason = cell.reason.value if cell.reason else None
    ended = NoPrediction(cell.status, model, VendorCall(attempts=cell.attempts), reason)
    return "yes" if verdict_of(ended, had_time=True) is Verdict.FAILED else "no"


def _what_to_do(faults: tuple[Fault, ...]) -> str:
    """What to do, once for all faults that call for the same."""
    same: dict[str, list[str]] = {}
    for fault in faults:
        same.setdefault(fault.do, []).append(fault.name)
    if len(same) == 1:
        return f"What to do: {next(iter(same))}\n"
    return "What to do:\n\n" + "\n".join(f"* *{'; '.join(names)}*: {do}" for do, names in same.items()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())

"""Writes the table of UCUM units from the library: `python -m tests.unit.vendors.units_table`.

The codes are those of UCUM's own table of examples for electronic messaging, as the library ships it.
"""

from __future__ import annotations

import json
from pathlib import Path

import ucumvert

from cds_wrapper.vendors.ucum import measure
from cds_wrapper.vendors.units import TABLE, bare

EXAMPLES = Path(ucumvert.__file__).parent / "vendor" / "ucum_examples.tsv"
ALSO = (
    "1",
    "/min",
    "/h",
    "mL/min",
    "L/min",
    "mg/dL",
    "[lb_av]",
    "[in_i]",
    "10*3/uL",
    "10*6/uL",
    "10*9/L",
    "a",
    "mo",
    "wk",
    "d",
)


def written() -> str:
    """The table as the library would have it now, one unit to a line."""
    rows = [line.split("\t")[1] for line in EXAMPLES.read_text(encoding="utf-8").splitlines()[1:]]
    codes = sorted({bare(code)[0] for code in (*rows, *ALSO)})
    measures = {code: found for code in codes if (found := measure(code))}
    lines = (
        f"{json.dumps(code)}: {json.dumps([dict(sorted(one.dimension.items())), one.factor, one.offset])}"
        for code, one in measures.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(written(), encoding="utf-8")

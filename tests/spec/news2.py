"""NEWS2 a second time, written from the published chart and not from the product's code.

The chart is copied row by row as it hangs on a ward: one column for each number of points, 3 2 1 0 1 2 3. A
dash is an empty cell. Each row is read as a list of ranges and a value is looked for in them one by one.
"""

from __future__ import annotations

import math
from typing import Any

COLUMNS = (3, 2, 1, 0, 1, 2, 3)

CHART = """
respirations            | <=8    | -      | 9-11      | 12-20     | -         | 21-24     | >=25
saturation 1            | <=91   | 92-93  | 94-95     | >=96      | -         | -         | -
saturation 2 on air     | <=83   | 84-85  | 86-87     | >=88      | -         | -         | -
saturation 2 on oxygen  | <=83   | 84-85  | 86-87     | 88-92     | 93-94     | 95-96     | >=97
air or oxygen           | -      | oxygen | -         | air       | -         | -         | -
systolic                | <=90   | 91-100 | 101-110   | 111-219   | -         | -         | >=220
pulse                   | <=40   | -      | 41-50     | 51-90     | 91-110    | 111-130   | >=131
consciousness           | -      | -      | -         | alert     | -         | -         | not alert
temperature             | <=35.0 | -      | 35.1-36.0 | 36.1-38.0 | 38.1-39.0 | >=39.1    | -
"""


def rows() -> dict[str, list[str]]:
    """Name of a row -> its seven cells."""
    lines = [line.split("|") for line in CHART.strip().splitlines()]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines}


ROWS = rows()


def as_on_the_chart(value: float, decimals: int) -> float:
    """A number as somebody writes it down: so many decimals, a half goes up."""
    scale = 10.0**decimals
    return float(math.floor(round(value * scale, 6) + 0.5)) / scale


def lies_in(cell: str, value: float) -> bool:
    if cell == "-":
        return False
    if cell.startswith("<="):
        return value <= float(cell[2:])
    if cell.startswith(">="):
        return value >= float(cell[2:])
    low, high = cell.split("-")
    return float(low) <= value <= float(high)


def points_of_number(row: str, value: float, decimals: int = 0) -> int:
    written = as_on_the_chart(value, decimals)
    hits = [points for points, cell in zip(COLUMNS, ROWS[row], strict=True) if lies_in(cell, written)]
    assert len(hits) == 1, f"{row}: a value in {len(hits)} cells"
    return hits[0]


def points_of_word(row: str, word: str) -> int:
    return COLUMNS[ROWS[row].index(word)]


def independent_news2(observed: dict[str, Any]) -> tuple[int, bool]:
    """Total and whether any single parameter has 3; what is not in `observed`, or None, adds nothing."""
    points: list[int] = []
    for row, decimals in (("respirations", 0), ("systolic", 0), ("pulse", 0), ("temperature", 1)):
        if observed.get(row) is not None:
            points.append(points_of_number(row, observed[row], decimals))
    if observed.get("saturation") is not None:
        gas = "oxygen" if observed.get("on_oxygen") else "air"
        row = f"saturation 2 on {gas}" if observed.get("scale_2") else "saturation 1"
        points.append(points_of_number(row, observed["saturation"]))
    if observed.get("on_oxygen") is not None:
        points.append(points_of_word("air or oxygen", "oxygen" if observed["on_oxygen"] else "air"))
    if observed.get("alert") is not None:
        points.append(points_of_word("consciousness", "alert" if observed["alert"] else "not alert"))
    return sum(points), any(one == 3 for one in points)

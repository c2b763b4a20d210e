"""What a UCUM code measures, asked of the library ucumvert (UCUM's own grammar and tables, on pint).

Loaded by `check` and by services whose units the table of `units` does not hold, and by no others: the
library takes more than a second to come.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, Final

from lark.exceptions import LarkError
from pint.errors import PintError
from ucumvert import PintUcumRegistry
from ucumvert.xml_util import get_units_with_full_definition

from cds_wrapper.vendors.units import Measure

_EQUIVALENT: Final = re.compile(r"(?<![A-Za-z\[])[A-Za-z]{0,2}eq(?![A-Za-z])")
_NEARLY: Final = 1e-9
_FAR: Final = 100


@lru_cache(maxsize=1)
def _registry() -> Any:
    return PintUcumRegistry()


@lru_cache(maxsize=1)
def _arbitrary() -> tuple[str, ...]:
    """The units of UCUM that are defined by a procedure of their own, and equal nothing else."""
    return tuple(one.code_cs for one in get_units_with_full_definition() if one.is_arbitrary)


@lru_cache(maxsize=4096)
def measure(code: str) -> Measure | None:
    """What a UCUM code without annotations measures; None when it is no code, or no linear scale.

    An equivalent is not taken for a mole: how many of them make one depends on the ion.
    """
    registry = _registry()
    try:
        unit = registry.from_ucum(code)
        points = [registry.Quantity(at * unit.magnitude, unit.units).to_base_units() for at in (0, 1, _FAR)]
    except (LarkError, PintError, AttributeError, ValueError, ArithmeticError):
        return None
    zero, one, far = (float(point.magnitude) for point in points)
    factor = (far - zero) / _FAR
    if not math.isfinite(factor) or factor <= 0 or abs(zero + factor - one) > _NEARLY * max(abs(one), factor):
        return None  # a logarithm, as of pH or of decibels
    dimension = {str(name): float(power) for name, power in points[0].unit_items()}
    return Measure(dimension | _own_dimensions(code), _tidy(factor), _tidy(zero))


def _own_dimensions(code: str) -> dict[str, float]:
    own = {name: 1.0 for name in _arbitrary() if name in code}
    return own | ({"equivalent": 1.0} if _EQUIVALENT.search(code) else {})


def _tidy(number: float) -> float:
    return float(f"{number:.15g}")

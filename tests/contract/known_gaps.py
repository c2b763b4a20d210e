"""What still goes out wrong (nothing): the row, the vendor's card, and where the answer does not fit."""

from __future__ import annotations

from typing import Any

KNOWN_GAPS: list[tuple[str, dict[str, Any], str]] = []

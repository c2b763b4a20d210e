"""What still goes out wrong: the requirement, the vendor's card, and where the answer does not fit."""

from __future__ import annotations

from typing import Any

INVISIBLE = {"suggestions": [{"label": "\u200b", "uuid": "s1"}], "selectionBehavior": "any"}
ODD_TOPIC = {"source": {"label": "x", "topic": {"code": "1", "system": "s", "display": 5}}}
BLANK_CODE = {"source": {"label": "x", "topic": {"code": " ", "system": "s"}}}

KNOWN_GAPS: list[tuple[str, dict[str, Any], str]] = [
    ("SUG-1", INVISIBLE, "$.cards[0].suggestions[0].label: pattern"),
    ("SRC-4", ODD_TOPIC, "$.cards[0].source.topic.display: type"),
    ("SRC-4", BLANK_CODE, "$.cards[0].source.topic.code: pattern"),
]

"""The copy of the caveat that programs read: our own member of `card.extension`. Pure.

Nothing essential stands only here, and no group that may not be named (docs/reference/card-extension.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from cds_wrapper.caveats.actions import AI_LABEL
from cds_wrapper.caveats.caveat import Caveat, CaveatReason
from cds_wrapper.caveats.evidence import evidence_token
from cds_wrapper.caveats.reason_words import wording_id
from cds_wrapper.caveats.vendor_text import clean_line
from cds_wrapper.caveats.wording import CaveatWords
from cds_wrapper.vendors.base import Prediction


def card_uuid(prediction_id: UUID, position: int) -> str:
    """The id of the card at a position of the vendor's answer, the same at every replay."""
    return str(uuid5(prediction_id, str(position)))


@dataclass(frozen=True, slots=True)
class CardStamp:
    """What a card carries of its record and its files.

    `link_url` is the page behind the caveat, `general_url` the service's own page; either may be None.
    `own_label` (model and developer) and `general_url` are the source of cards the site words,
    `vendor_label` is that of a vendor card without one. `shown` are the attributes whose groups may be named
    (`shown_attributes`).
    """

    prediction_id: UUID
    edition: str
    plan_version: str
    wording_version: str
    extension_key: str
    own_label: str
    vendor_label: str
    link_url: str | None = None
    general_url: str | None = None
    shown: frozenset[str] = frozenset()

    def card_uuid(self, position: int) -> str:
        """The id of the card at a position of the vendor's answer."""
        return card_uuid(self.prediction_id, position)


def machine_copy(
    prediction: Prediction, words: CaveatWords, caveat: Caveat, stamp: CardStamp
) -> dict[str, Any]:
    """Our member of a vendor card's extension, under its name."""
    return {
        stamp.extension_key: {
            "ai_label": AI_LABEL,
            "model": prediction.model.id,
            "version": clean_line(prediction.model.version),
            "level": caveat.level.value,
            **({"caveats": list(_caveats(caveat.reasons, stamp))} if caveat.reasons else {}),
            **({"wording_ids": list(words.wording_ids)} if words.wording_ids else {}),
            **versions(stamp),
        }
    }


def versions(stamp: CardStamp) -> dict[str, str]:
    """The record behind a card and the versions of what decided; all that a card of our own carries."""
    return {
        "prediction_id": str(stamp.prediction_id),
        "evidence_edition": stamp.edition,
        "plan_version": stamp.plan_version,
        "wording_version": stamp.wording_version,
    }


def _caveats(reasons: Iterable[CaveatReason], stamp: CardStamp) -> Iterator[dict[str, Any]]:
    for reason in reasons:
        may_name = bool(reason.groups) and stamp.shown.issuperset(reason.attributes)
        members = {
            "id": wording_id(reason),
            "level": reason.level.value,
            "reason": reason.reason.value,
            "scope": reason.scope.value,
            "direction": reason.direction.value if reason.direction else None,
            "side": reason.side.value if reason.side else None,
            "group": [f"{attribute}={level}" for attribute, level in reason.groups] if may_name else None,
            "evidence": evidence_token(stamp.edition, reason.key),
        }
        yield {name: value for name, value in members.items() if value is not None}

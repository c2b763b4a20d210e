"""From the checked parts of `service.yaml` to the card of a score. Nothing is checked here again."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from cds_wrapper.caveats.model_card import ModelCard
from cds_wrapper.caveats.model_inputs import PersonalInputs
from cds_wrapper.caveats.moments import Clock
from cds_wrapper.caveats.score_card import BandCard, ScoreCard, Speaks, Suggested, SuggestedAction
from cds_wrapper.caveats.score_number import NumberForm, ScoreNumber
from cds_wrapper.caveats.texts import Wording, placeholders
from cds_wrapper.services.score_card_file import BandFile, CardSuggestionFile, ScoreCardFile
from cds_wrapper.services.service_file import ServiceFile

_BETWEEN_PARAGRAPHS: Final = re.compile(r"\n[ \t]*\n")


def score_card_of(service: ServiceFile, card: ModelCard, wording: Wording) -> ScoreCard | None:
    """The card of a score; None for a vendor that speaks cards."""
    file = service.score_card
    if file is None:
        return None
    number = score_number(service)
    return ScoreCard(
        summary=file.summary,
        detail=paragraphs(file, wording),
        number=number,
        threshold=number.mark(service.thresholds[0].at),
        bands={band.id: _band(band) for band in service.bands},
        flags={name: flag.say for name, flag in file.flags.items()},
        clock=Clock(wording.terms, zone_of(service)),
        personal=PersonalInputs.of(card.inputs),
    )


def paragraphs(file: ScoreCardFile, wording: Wording) -> tuple[str, ...]:
    """The site's paragraphs, and behind them a line of ours for each thing that they do not name."""
    own = [part.strip() for part in _BETWEEN_PARAGRAPHS.split(file.detail) if part.strip()]
    named = {name for part in own for name in placeholders(part)}
    lines = wording.lines
    ours = {"flags": "{flags}.", "missing": lines.missing_inputs, "score_at": lines.score_at}
    return (*own, *(line for name, line in ours.items() if name not in named))


def score_number(service: ServiceFile) -> ScoreNumber:
    """How the scores are written: as the file says, else a whole per cent or a whole number."""
    score, card = service.vendor.score, service.score_card
    number = card.number if card else None
    is_share = score is not None and score.kind in {"probability", "percent"}
    usual = NumberForm.PERCENT if is_share else NumberForm.PLAIN
    marks = (
        *(threshold.at for threshold in service.thresholds),
        *(band.below for band in service.bands if band.below is not None),
    )
    return ScoreNumber(
        form=NumberForm(number.form) if number else usual,
        decimals=number.decimals if number else 0,
        marks=tuple(sorted(set(marks))),
    )


def zone_of(service: ServiceFile) -> tzinfo | None:
    """The time zone of the clock on the ward's wall."""
    return ZoneInfo(service.time_zone) if service.time_zone else None


def _band(band: BandFile) -> BandCard:
    return BandCard(
        say=band.say or band.id,
        indicator=band.indicator or "info",
        speaks=Speaks(band.card),
        suggestions=tuple(map(_suggested, band.suggestions)),
        selection=band.selection_behavior,
        links=tuple({"label": link.label, "url": link.url} for link in band.links),
    )


def _suggested(suggestion: CardSuggestionFile) -> Suggested:
    actions = (SuggestedAction(action.description, action.resource) for action in suggestion.actions)
    return Suggested(suggestion.label, tuple(actions))

"""What a caveat means for a low score, for a high score, and what to do: the second part of an evidence page.

These texts describe the score's record, never the patients, and name no group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from cds_wrapper.caveats.evidence import Direction
from cds_wrapper.caveats.policy import Reason


@dataclass(frozen=True, slots=True)
class Meaning:
    """Three short texts: a low score, a high score, what to do."""

    low: str
    high: str
    do: str


_TOO_LOW: Final = Meaning(
    low="The true risk may be higher than the number. A low score is no reassurance, and a score"
    " just below a cut point may belong above it.",
    high="A high score is not put in doubt by this; the true risk may be higher still.",
    do="Use the score as one sign among others and weigh what else you know of the patient. Do not"
    " rule the outcome out because the score is low.",
)
_TOO_HIGH: Final = Meaning(
    low="The true risk may be lower still. This does not put a low score in doubt.",
    high="The true risk may be lower than the number. Part of that can be treatment that worked,"
    " which the score cannot see.",
    do="Look at the patient before you act on a high score, and before you dismiss it.",
)
_MISSES_MORE: Final = Meaning(
    low="More cases than usual stood behind low scores. A low score cannot rule the outcome out.",
    high="A high score is not put in doubt by this.",
    do="Go by what you see in the patient when the score is low, as you would without a score.",
)
_FALSE_ALARMS: Final = Meaning(
    low="A low score is not put in doubt by this.",
    high="More alerts than usual were followed by no event.",
    do="Check the patient before dismissing an alert: some of them are right.",
)
_EITHER_WAY: Final = Meaning(
    low="The score orders patients by risk less well than usual: a low score says less than it does"
    " for others.",
    high="A high score says less than it does for others.",
    do="Use your own assessment first and the score as one sign among others.",
)
_OUTSIDE: Final = Meaning(
    low="The number is calculated all the same, beyond the patients it was made from. Nobody has"
    " shown what it is worth here.",
    high="The same holds for a high score.",
    do="Do not rely on the score. Use your usual assessment.",
)
_UNTESTED: Final = Meaning(
    low="It is not known how often a low score is followed by an event in similar patients.",
    high="It is not known how often a high score is right in similar patients.",
    do="Use the score as one sign among others. No figures is not a sign that it works, nor that"
    " it does not.",
)
_UNKNOWN: Final = Meaning(
    low="For some patients this score works less well or has not been tested, and for others it"
    " has. Which of them this patient is like cannot be told from what is on file.",
    high="The same holds for a high score.",
    do="Use the score as one sign among others. The same score and the same words are given"
    " whatever the reason a detail is not on file.",
)
_INPUT: Final = Meaning(
    low="A value the score was calculated from was missing, or is less reliable. The number may"
    " change once that is put right.",
    high="The same holds for a high score.",
    do="Check the value the card names if the result matters.",
)
_INPUT_TOO_LOW: Final = Meaning(
    low="A value the score was calculated from was missing and counted as normal, or may look better than it"
    " is. The true score may be higher: a low score is no reassurance.",
    high="A high score is not put in doubt by this; the true score may be higher still.",
    do="Look at the value the card names, or measure it again. Do not rule the outcome out because the score"
    " is low.",
)
_INPUT_TOO_HIGH: Final = Meaning(
    low="A value the score was calculated from may look worse than it is. The true score may be lower still.",
    high="The true score may be lower than the number.",
    do="Check the value the card names before you act on a high score, and before you dismiss it.",
)
_PROXY: Final = Meaning(
    low="The score was built to predict something that stands in for the need. Where care was hard"
    " to get, need can be higher than the number says.",
    high="A high score is not put in doubt by this.",
    do="Judge the need itself. The score is one sign among others.",
)
_GENERAL: Final = Meaning(
    low="A low score is not a guarantee: some people with a low score have the event.",
    high="A high score is not a diagnosis: many people with a high score never have the event.",
    do="Use the score as one sign among others. No warning on a card is not a certificate that the"
    " score works.",
)


def meaning_of(reason: Reason | None, direction: Direction | None) -> Meaning:
    """What a reason means; None for the service's general page."""
    match reason:
        case None:
            return _GENERAL
        case Reason.KNOWN_GAP | Reason.UNDER_REVIEW:
            return _of_gap(direction)
        case Reason.OUT_OF_SCOPE:
            return _OUTSIDE
        case Reason.NOT_REPRESENTED | Reason.NOT_REPORTED | Reason.THIN_EVIDENCE:
            return _UNTESTED
        case Reason.GROUP_UNKNOWN:
            return _UNKNOWN
        case Reason.DOUBTFUL_INPUT | Reason.MISSING_INPUT:
            return _of_input(direction)
        case Reason.LABEL_MISMATCH:
            return _PROXY
        case _:
            assert_never(reason)


def _of_input(direction: Direction | None) -> Meaning:
    match direction:
        case Direction.SCORES_TOO_LOW | Direction.MISSES_MORE:
            return _INPUT_TOO_LOW
        case Direction.SCORES_TOO_HIGH | Direction.FALSE_ALARMS_MORE:
            return _INPUT_TOO_HIGH
        case None:
            return _INPUT
        case _:
            assert_never(direction)


def _of_gap(direction: Direction | None) -> Meaning:
    match direction:
        case Direction.SCORES_TOO_LOW:
            return _TOO_LOW
        case Direction.SCORES_TOO_HIGH:
            return _TOO_HIGH
        case Direction.MISSES_MORE:
            return _MISSES_MORE
        case Direction.FALSE_ALARMS_MORE:
            return _FALSE_ALARMS
        case None:
            return _EITHER_WAY
        case _:
            assert_never(direction)

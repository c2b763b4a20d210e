"""One reason for a caveat -> its approved text, filled.

Whom a reason is about, whether the group may be named and whether figures may be shown decide which form of
a text is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import assert_never

from cds_wrapper.caveats.caveat import CaveatReason, Reason, Scope, Side
from cds_wrapper.caveats.evidence import Direction
from cds_wrapper.caveats.inputs import as_a_sentence, listed, shortly
from cds_wrapper.caveats.texts import Elsewhere, ServiceWords, Terms, Text, Wording, fill, placeholders
from cds_wrapper.patient.subgroups import Display, SubgroupScheme


@dataclass(frozen=True, slots=True)
class Said:
    """One reason in words."""

    id: str
    line: str
    short: str | None


def put_into_words(
    reason: CaveatReason, scheme: SubgroupScheme, wording: Wording, service: ServiceWords
) -> Said:
    """One reason in the approved words, filled; `_template` says which of its texts may be used."""
    name = wording_id(reason)
    text = wording.texts[name]
    values = _values(reason, scheme, wording, service)
    template = _template(text, reason, scheme)
    line = fill(template, values)
    short = _short_template(name, reason, wording)
    in_short = {**values, "input": shortly(short, reason.labels, wording.terms)} if short else values
    return Said(
        id=name,
        line=as_a_sentence(line) if template.startswith("{input}") else line,
        short=fill(short, in_short) if short else None,
    )


def _short_template(name: str, reason: CaveatReason, wording: Wording) -> str | None:
    """What the summary says; where an input errs one way, that is said and not which input it is."""
    if reason.scope is not Scope.PATIENT or not reason.matters:
        return None
    if name == "D1" and reason.direction is not None:
        name = _gap_id(reason.direction, reason.side)
    return wording.texts[name].short


def _template(text: Text, reason: CaveatReason, scheme: SubgroupScheme) -> str:
    """The full text that may be used: with figures only where there are some and they may be shown."""
    source: Text | Elsewhere = text.elsewhere if reason.external and text.elsewhere else text
    display = scheme.display_of(reason.attributes)
    if source.show is None or display is Display.NEVER:
        return source.never
    if _needs_figures(source.show) and reason.figures is None:
        return source.never
    # A developer's rule names the group it is about: it is said as it stands only where that may be named.
    if "{rule}" in source.show and (reason.rule_say is None or display is not Display.SHOW):
        return source.never
    return source.show


@cache
def _needs_figures(template: str) -> bool:
    return not _FIGURES.isdisjoint(placeholders(template))


_FIGURES = frozenset({"a", "b", "p", "o"})


def _values(
    reason: CaveatReason, scheme: SubgroupScheme, wording: Wording, service: ServiceWords
) -> Mapping[str, str]:
    figures = reason.figures
    first, second = (str(figures.first), str(figures.second)) if figures else ("", "")
    terms = wording.terms
    return {
        "who": _who(reason, scheme, terms),
        "outcome": service.outcome,
        "a": first,
        "b": second,
        "p": first,
        "o": second,
        "rule": reason.rule_say or "",
        "input": listed(reason.labels, terms) if reason.inputs else terms.input,
        "inputs": listed(reason.labels, terms),
        "recheck": reason.recheck or wording.lines.recheck,
        "proxy": terms.proxy,
    }


def _who(reason: CaveatReason, scheme: SubgroupScheme, terms: Terms) -> str:
    """The group by its label where it may be named and has one; half of a crossing is never named."""
    if reason.scope is Scope.MODEL:
        return terms.everyone_elsewhere if reason.external else terms.everyone
    if len(reason.groups) != 1 or scheme.display_of(reason.attributes) is not Display.SHOW:
        return terms.anyone
    attribute, level = reason.groups[0]
    return scheme.attributes[attribute].labels.get(level, terms.anyone)


_ONE_TEXT = {
    Reason.OUT_OF_SCOPE: "S1",
    Reason.NOT_REPRESENTED: "R1",
    Reason.LABEL_MISMATCH: "L1",
    Reason.GROUP_UNKNOWN: "K1",
}


def wording_id(reason: CaveatReason) -> str:
    """The text for a reason, by its direction and side."""
    match reason.reason:
        case Reason.KNOWN_GAP:
            return _gap_id(reason.direction, reason.side)
        case Reason.OUT_OF_SCOPE | Reason.NOT_REPRESENTED | Reason.LABEL_MISMATCH | Reason.GROUP_UNKNOWN:
            return _ONE_TEXT[reason.reason]
        case Reason.DOUBTFUL_INPUT:
            return "D1" if reason.attributes else "D2"
        case Reason.MISSING_INPUT:
            return "M2" if reason.direction is Direction.SCORES_TOO_LOW else "M1"
        case Reason.UNDER_REVIEW:
            return _review_id(reason.direction)
        case Reason.NOT_REPORTED:
            return "N1" if reason.scope is Scope.PATIENT else "N2"
        case Reason.THIN_EVIDENCE:
            return "T1" if reason.scope is Scope.PATIENT else "T2"
        case _:
            assert_never(reason.reason)


def _gap_id(direction: Direction | None, side: Side | None) -> str:
    match direction:
        case Direction.MISSES_MORE:
            return "G2" if side is Side.HIGH else "G1"
        case Direction.FALSE_ALARMS_MORE:
            return "G4" if side is Side.LOW else "G3"
        case Direction.SCORES_TOO_LOW:
            return "G5"
        case Direction.SCORES_TOO_HIGH:
            return "G7" if side is Side.HIGH else "G6"
        case None:
            return "G8"
        case _:
            assert_never(direction)


def _review_id(direction: Direction | None) -> str:
    match direction:
        case Direction.MISSES_MORE | Direction.SCORES_TOO_LOW:
            return "U1"
        case Direction.FALSE_ALARMS_MORE | Direction.SCORES_TOO_HIGH:
            return "U2"
        case None:
            return "U3"
        case _:
            assert_never(direction)

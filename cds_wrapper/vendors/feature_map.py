"""A model's inputs out of what came for one patient, as the service's file declares them. Pure.

Everything that can be made ready was: expressions are compiled, units have their factors. A prefetch value is
decoded when the first input looks into it, once for all of them, and a FHIRPath is asked only about the one
resource that was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState
from cds_wrapper.vendors.feature_choice import (
    MOST_JUDGED,
    Match,
    Shelf,
    Wanted,
    codes_of,
    has_criterion,
    matches,
    meets,
)
from cds_wrapper.vendors.feature_resources import UNREADABLE, resources_in
from cds_wrapper.vendors.feature_rules import Kind, Rule
from cds_wrapper.vendors.feature_values import counted, value_of
from cds_wrapper.vendors.features import Features, Input, InputSource, InputValue, Lack

_LACKS: Final[Mapping[PrefetchState, Lack]] = {
    PrefetchState.ABSENT: Lack.NOT_SENT,
    PrefetchState.ERROR: Lack.FETCH_FAILED,
    PrefetchState.UNSUPPORTED: Lack.FETCH_FAILED,
    PrefetchState.OTHER_PATIENT: Lack.OTHER_PATIENT,
    PrefetchState.UNREADABLE: Lack.UNREADABLE,
}
_anything: Final = msgspec.json.Decoder(float_hook=float)


Place = tuple[str, bool]
"""A prefetch key, or a field of the hook's context (True)."""


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """What one place holds: its resources, or why none can be seen; `whole` when none was left out."""

    source: InputSource
    shelf: Shelf | None = None
    lack: Lack | None = None
    whole: bool = False
    plain: object = None

    def __repr__(self) -> str:
        return f"Found(source={self.source.value!r})"


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The declared inputs of one service, in the order of its file."""

    rules: tuple[Rule, ...]
    wanted: Mapping[Place, Wanted] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = {place for rule in self.rules for place in _places_of(rule)}
        wanted = {
            place: Wanted.by(rule for rule in self.rules if place in _places_of(rule)) for place in places
        }
        object.__setattr__(self, "wanted", wanted)

    @property
    def declared(self) -> tuple[Input, ...]:
        """Every declared input, before anybody's is looked for."""
        return tuple(
            Input(rule.name, rule.label, rule.path_text, rule.if_missing, kept=rule.kept)
            for rule in self.rules
        )

    def read(self, request: CDSRequest, prefetch: Prefetch) -> Features:
        """Every declared input, found or missing; never raises for what a resource holds."""
        reading = _Reading(request, prefetch, self.wanted)
        return Features(tuple(reading.read(rule) for rule in self.rules))


class _Reading:
    """The reading of one patient: what was decoded so far, and the moment of the call."""

    __slots__ = ("_found", "_prefetch", "_request", "_wanted", "now")

    def __init__(self, request: CDSRequest, prefetch: Prefetch, wanted: Mapping[Place, Wanted]) -> None:
        self._wanted = wanted
        self._request = request
        self._prefetch = prefetch
        self._found: dict[Place, Found] = {}
        self.now = request.received_at

    def read(self, rule: Rule) -> Input:
        """One input, found or missing."""
        places = [self._place(place) for place in _places_of(rule)]
        plain = places[0].plain if len(places) == 1 else None
        if plain is not None:
            return _plain_input(plain, rule, self.now)
        found = matches([one.shelf for one in places if one.shelf], rule, self.now)
        if has_criterion(rule):
            if len(found) > MOST_JUDGED:
                places = [replace(one, whole=False) for one in places]
            found = [one for one in found[:MOST_JUDGED] if meets(one.candidate, rule, self.now)]
        if rule.kind is Kind.COUNT:
            return _counted(found, places, rule, self.now)
        for one in _in_time(found, rule, self.now):
            value = value_of(one.candidate.element, one.candidate.resource.whole, rule, self.now)
            if value not in (Lack.NOT_RECORDED, Lack.DATA_ABSENT):
                return _input(rule, value, one, one.candidate.source, self.now)
        return self._missing(found, places, rule)

    def _missing(self, found: list[Match], places: list[Found], rule: Rule) -> Input:
        """Nothing holds a value: a declared "no", or why the best of what matched has none."""
        in_time = _in_time(found, rule, self.now)
        if not found and rule.no_match_is_no and _is_certain(places, rule):
            return _input(rule, False, None, places[0].source, self.now)
        if in_time:
            one = in_time[0]
            value = value_of(one.candidate.element, one.candidate.resource.whole, rule, self.now)
            lack = value if isinstance(value, Lack) else Lack.NOT_RECORDED
            return _input(rule, lack, one, one.candidate.source, self.now)
        if found:
            lack = Lack.UNDATED if all(one.at is None for one in found) else Lack.TOO_OLD
            return _input(rule, lack, found[0], found[0].candidate.source, self.now)
        return _input(rule, _why_nothing(places), None, None, self.now)

    def _place(self, place: Place) -> Found:
        found = self._found.get(place)
        if found is None:
            name, is_context = place
            found = self._in_context(name) if is_context else self._in_prefetch(name)
            self._found[place] = found
        return found

    def _in_prefetch(self, key: str) -> Found:
        state = self._prefetch.states.get(key, PrefetchState.ABSENT)
        source = InputSource.PREFETCH if key in self._request.prefetch else InputSource.FHIR
        wanted = self._wanted[key, False]
        if state is PrefetchState.EMPTY:
            return Found(source, Shelf((), source, wanted), whole=True)
        raw = self._prefetch.values.get(key)
        if state in _LACKS or raw is None:
            return Found(source, lack=_LACKS.get(state, Lack.UNREADABLE))
        try:
            shelf = Shelf(resources_in(raw), source, wanted)
        except UNREADABLE:
            return Found(source, lack=Lack.UNREADABLE)
        return Found(source, shelf, whole=state is PrefetchState.PRESENT)

    def _in_context(self, field: str) -> Found:
        source = InputSource.CONTEXT
        raw = self._request.context.get(field)
        if raw is None:
            return Found(source, lack=Lack.NOT_SENT)
        try:
            if raw.lstrip()[:1] == b"{":
                return Found(source, Shelf(resources_in(raw), source, self._wanted[field, True]), whole=True)
            return Found(source, plain=_anything.decode(raw))
        except UNREADABLE:
            return Found(source, lack=Lack.UNREADABLE)


def _places_of(rule: Rule) -> tuple[Place, ...]:
    if rule.context is not None:
        return ((rule.context, True),)
    return tuple((key, False) for key in rule.keys)


def _in_time(found: list[Match], rule: Rule, now: datetime) -> list[Match]:
    """Those recent enough; without a limit all of them."""
    if rule.within is None:
        return found
    earliest = now - rule.within
    return [one for one in found if one.at is not None and one.at >= earliest]


def _is_certain(places: list[Found], rule: Rule) -> bool:
    """Whether everything was seen and nothing in it could be a match in disguise."""
    return all(
        one.whole and one.shelf is not None and not one.shelf.holds_uncoded(rule.type) for one in places
    )


def _why_nothing(places: list[Found]) -> Lack:
    lacks = [one.lack for one in places if one.lack is not None]
    if lacks:
        return lacks[0]
    return Lack.NOT_RECORDED if all(one.whole for one in places) else Lack.INCOMPLETE


def _counted(found: list[Match], places: list[Found], rule: Rule, now: datetime) -> Input:
    """How many matched within the time; a search that was cut short or did not come counts nothing."""
    if not all(one.whole for one in places) or not _is_certain(places, rule):
        lack = _why_nothing(places)
        return _input(rule, Lack.UNREADABLE if lack is Lack.NOT_RECORDED else lack, None, None, now)
    if rule.within is not None and any(one.at is None for one in found):
        return _input(rule, Lack.UNDATED, None, places[0].source, now)
    counting = _in_time(found, rule, now)
    different = {id(one.candidate.resource) for one in counting}
    return _input(rule, counted(len(different), rule), None, places[0].source, now)


def _plain_input(plain: object, rule: Rule, now: datetime) -> Input:
    """A field of the context that is no resource: a text or a number as it came."""
    value = value_of({"valueString" if isinstance(plain, str) else "valueInteger": plain}, {}, rule, now)
    return _input(rule, value, None, InputSource.CONTEXT, now)


def _input(
    rule: Rule, value: InputValue | Lack, match: Match | None, source: InputSource | None, now: datetime
) -> Input:
    code = match.candidate.code if match else None
    path = rule.path_text
    if match is not None and match.candidate.is_part:
        path = f"{rule.type}.component.{path.removeprefix(f'{rule.type}.')}"
    return Input(
        name=rule.name,
        label=rule.label,
        path=path,
        if_missing=rule.if_missing,
        source=source,
        code=code,
        age=max(now - match.at, now - now) if match and match.at else None,
        value=None if isinstance(value, Lack) else value,
        lack=value if isinstance(value, Lack) else None,
        doubtful=match is not None and not isinstance(value, Lack) and _is_doubted(match, rule),
        kept=rule.kept,
    )


def _is_doubted(match: Match, rule: Rule) -> bool:
    """Whether any of its codes is one that the model card doubts: one under several is what they all say."""
    return bool(rule.doubted) and any(
        code in rule.doubted for code in codes_of(match.candidate.element.get("code"))
    )

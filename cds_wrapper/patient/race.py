"""Race, ethnicity and the two together, from every shape US Core ever gave them.

The eight rules are those of the site's collapse table: a null code beside a category, an ethnicity code in
the race slot, several races, both views, both editions of OMB's directive 15, Middle Eastern or North
African, a null code with a text that says more, and `other`, which is never redistributed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from cds_wrapper.patient.attributes import Attribute, Missing, unrepeated
from cds_wrapper.patient.codes import (
    CDCREC,
    EMPTY_TEXTS,
    ETHNICITY_EXTENSIONS,
    OMB_ETHNICITIES,
    OMB_RACES,
    RACE_ETHNICITY_SYSTEMS,
    RACE_EXTENSIONS,
    ethnicity_of_code,
    is_middle_eastern_or_north_african,
    names_a_tribe,
    null_reason,
    race_of_code,
)
from cds_wrapper.patient.reading import (
    MOST_RAW_CODES,
    Code,
    RecordedPatient,
    Statement,
    known,
    lacking,
    most_telling,
    null_reasons,
    raw_code,
    statement_of,
)
from cds_wrapper.patient.rules import (
    ETHNICITY,
    RACE,
    RACE_ETHNICITY,
    DemographicRules,
    RaceEthnicityScheme,
    RaceProfile,
)

RACE_SOURCE = "Patient.extension[us-core-race]"
ETHNICITY_SOURCE = "Patient.extension[us-core-ethnicity]"
DETAILED = "detailed"


@dataclass(frozen=True, slots=True, repr=False)
class RaceAndEthnicity:
    """The three attributes, made together because each can contradict another."""

    race: Attribute
    ethnicity: Attribute
    race_ethnicity: Attribute


@dataclass(frozen=True, slots=True, repr=False)
class _Race:
    """What the race slot says: the attribute, the race codes it came from, ethnicities that stood there."""

    attribute: Attribute
    codes: frozenset[str]
    misplaced_ethnicities: frozenset[str]


def race_and_ethnicity(patient: RecordedPatient, rules: DemographicRules) -> RaceAndEthnicity:
    """Read both extensions and combine them under the site's scheme."""
    race = _race(patient, rules)
    ethnicity = _ethnicity(patient, rules)
    contradicts = ethnicity.value is not None and bool(race.misplaced_ethnicities - {ethnicity.value})
    if contradicts:
        race = replace(race, attribute=_flagged(race.attribute, "ethnicity_conflict"))
        ethnicity = _flagged(ethnicity, "ethnicity_conflict")
    return RaceAndEthnicity(race.attribute, ethnicity, _combined(race, ethnicity, rules))


def _flagged(attribute: Attribute, *flags: str) -> Attribute:
    return replace(attribute, dq=unrepeated((*attribute.dq, *flags)))


def _codes_in(said: Statement | None) -> tuple[list[Code], list[Code]]:
    """The codes that are no null codes, and those of them in a system for race and ethnicity."""
    stated = said.codes if said else ()
    codes = [code for code in stated if null_reason(code.system, code.code) is None]
    return codes, [code for code in codes if code.system in RACE_ETHNICITY_SYSTEMS]


# Race -------------------------------------------------------------------------------------------------------


def _race(patient: RecordedPatient, rules: DemographicRules) -> _Race:
    said = statement_of(patient.named(RACE_EXTENSIONS))
    codes, placed = _codes_in(said)
    races = {code.code: race for code in placed if (race := race_of_code(code.code))}
    misplaced = frozenset(word for code in placed if (word := ethnicity_of_code(code.code)))
    dq = _race_flags(codes, races, misplaced)
    slot = _Slot(RACE, RACE_SOURCE, patient.extensions_degraded)
    return _Race(
        attribute=_settled(slot, said, sorted(set(races.values())), dq, rules),
        codes=frozenset(races),
        misplaced_ethnicities=misplaced,
    )


def _race_flags(codes: list[Code], races: dict[str, str], misplaced: frozenset[str]) -> list[str]:
    dq = ["ethnicity_code_in_race_slot"] if misplaced else []
    for code in codes:
        if code.system not in RACE_ETHNICITY_SYSTEMS:
            dq.append("unknown_code_system")
        elif code.code in races or ethnicity_of_code(code.code):
            continue
        else:
            dq.append("detailed_code_unmapped" if code.slot == DETAILED else "unknown_code")
    return dq


# Ethnicity --------------------------------------------------------------------------------------------------


def _ethnicity(patient: RecordedPatient, rules: DemographicRules) -> Attribute:
    said = statement_of(patient.named(ETHNICITY_EXTENSIONS))
    codes, placed = _codes_in(said)
    answers = {code.code: answer for code in placed if (answer := ethnicity_of_code(code.code))}
    dq = [_ethnicity_flag(code) for code in codes if code.code not in answers]
    if len(set(answers.values())) > 1:
        dq.append("ethnicity_conflict")
    # The category slot is the governed one: it wins over a detail that contradicts it.
    categories = {answer for code, answer in answers.items() if code in OMB_ETHNICITIES}
    chosen = categories or set(answers.values())
    slot = _Slot(ETHNICITY, ETHNICITY_SOURCE, patient.extensions_degraded)
    return _settled(slot, said, sorted(chosen) if len(chosen) == 1 else [], dq, rules)


def _ethnicity_flag(code: Code) -> str:
    if code.system not in RACE_ETHNICITY_SYSTEMS:
        return "unknown_code_system"
    if race_of_code(code.code):
        return "race_code_in_ethnicity_slot"
    return "detailed_code_unmapped" if code.slot == DETAILED else "unknown_code"


# One slot -> one attribute ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Slot:
    """Which attribute an extension carries, and whether some extension could not be read."""

    attribute: str
    source: str
    extensions_degraded: bool


def _settled(
    slot: _Slot, said: Statement | None, values: list[str], dq: list[str], rules: DemographicRules
) -> Attribute:
    """The attribute these categories make: one, `multiple`, or missing with its reason."""
    scheme = rules.scheme(slot.attribute)
    if said is None:
        return _not_there(slot, scheme, rules)
    nulls = null_reasons(said)
    flags = [*dq, *(["degraded"] if said.degraded else [])]
    raw = _raw_without_tribes(said.codes)
    if values:
        flags += ["null_with_value"] if nulls else []
        if len(values) == 1:
            return known(values[0], raw, slot.source, flags, scheme)
        return Attribute("multiple", None, tuple(values), raw, slot.source, unrepeated(flags), scheme)
    says_more = any(text.strip().strip("\u200b").casefold() not in EMPTY_TEXTS for text in said.texts)
    flags += ["null_with_text"] if nulls and says_more else []
    reason = _reason(nulls, invalid=bool(flags and not nulls), has_text=says_more)
    return lacking(reason, scheme, raw=raw, source=slot.source, dq=flags)


def _not_there(slot: _Slot, scheme: str, rules: DemographicRules) -> Attribute:
    if slot.extensions_degraded:
        # One of the extensions could not be read: it may have been this one.
        return lacking(Missing.INVALID, scheme, dq=("degraded",))
    asked = rules.race_profile is RaceProfile.US_CORE
    return lacking(Missing.ABSENT if asked else Missing.NOT_CAPTURED_IN_PROFILE, scheme)


def _reason(nulls: list[Missing], *, invalid: bool, has_text: bool) -> Missing:
    if invalid:
        return Missing.INVALID
    return most_telling(nulls) or (Missing.TEXT_ONLY if has_text else Missing.ABSENT)


def _raw_without_tribes(codes: Iterable[Code]) -> tuple[str, ...]:
    """Every code but those that name a tribe; such a one is kept as the category it belongs to, if known."""
    kept = []
    for code in codes:
        if code.system in RACE_ETHNICITY_SYSTEMS and names_a_tribe(code.code):
            kept.append(f"{CDCREC}|{'1002-5' if race_of_code(code.code) else '(detail not kept)'}")
        else:
            kept.append(raw_code(code.system, code.code))
    return unrepeated(kept)[:MOST_RAW_CODES]


# Race and ethnicity together --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """A combined group: the exclusive value, the same alone or in combination, and flags of its own."""

    value: str
    members: tuple[str, ...]
    dq: tuple[str, ...] = ()


def _combined(race: _Race, ethnicity: Attribute, rules: DemographicRules) -> Attribute:
    match rules.race_ethnicity_scheme:
        case RaceEthnicityScheme.SPD15_1997:
            group = _spd15_1997(race.attribute, ethnicity)
        case RaceEthnicityScheme.SPD15_2024:
            group = _spd15_2024(race, ethnicity)
        case never:
            assert_never(never)
    scheme = rules.scheme(RACE_ETHNICITY)
    raw = unrepeated((*race.attribute.raw_codes, *ethnicity.raw_codes))
    source = " + ".join(filter(None, (race.attribute.source, ethnicity.source))) or None
    dq = unrepeated((*race.attribute.dq, *ethnicity.dq, *(group.dq if group else ())))
    if group is None:
        return lacking(race.attribute.missing or Missing.ABSENT, scheme, raw=raw, source=source, dq=dq)
    return Attribute(group.value, None, group.members, raw, source, dq, scheme)


def _spd15_1997(race: Attribute, ethnicity: Attribute) -> _Group | None:
    """Hispanic of any race first; without an ethnicity the group says so, it is not called non-Hispanic."""
    if ethnicity.value == "hispanic":
        return _Group("hispanic", ("hispanic",))
    if race.value is None:
        return None
    form = "nh_{}" if ethnicity.value else "{}_ethnicity_unknown"
    return _Group(form.format(race.value), tuple(form.format(member) for member in race.members))


def _spd15_2024(race: _Race, ethnicity: Attribute) -> _Group | None:
    """One question, co-equal categories.

    Middle Eastern or North African can only come from a detailed code, so without one it is not knowable,
    which is flagged: nobody may read it as zero. CDCREC files it under White, and a form of 1997 has no
    other box for it: White that only a detailed code implies is dropped, White that was coded stays.
    """
    members = set(race.attribute.members)
    is_mena = any(is_middle_eastern_or_north_african(code) for code in race.codes)
    if is_mena:
        members.add("mena")
        others = [code for code in race.codes if not is_middle_eastern_or_north_african(code)]
        members -= set() if any(race_of_code(code) == "white" for code in others) else {"white"}
    if ethnicity.value == "hispanic":
        members.add("hispanic")
    if not members:
        return None
    flags = {
        "mena_beside_white": is_mena and "white" in members,
        "mena_not_knowable": race.codes <= frozenset(OMB_RACES),
        "ethnicity_unknown": ethnicity.value is None,
    }
    value = "multiple" if len(members) > 1 else min(members)
    raised = tuple(flag for flag, is_raised in flags.items() if is_raised)
    return _Group(value, tuple(sorted(members)), raised)

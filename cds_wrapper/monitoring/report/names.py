"""Groups, measures and reasons in plain words. The report names groups: its readers have to act on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cds_wrapper.monitoring.values import EVERYBODY, Group, Measure, WhyNot
from cds_wrapper.patient.attributes import Missing
from cds_wrapper.patient.subgroups import SubgroupScheme, is_missing

ATTRIBUTES: Final[Mapping[str, str]] = {
    "age_band": "age",
    "sex": "sex",
    "race": "race",
    "ethnicity": "ethnicity",
    "race_ethnicity": "race and ethnicity",
    "language": "preferred language",
    "interpreter_needed": "need for an interpreter",
    "tribal_affiliation": "tribal affiliation",
    "disability": "disability",
    "payer": "payer",
    "deprivation_quintile": "deprivation of the area",
    "rurality": "rurality of the home",
}
_RACES: Final[Mapping[str, str]] = {
    "aian": "American Indian or Alaska Native people",
    "asian": "Asian people",
    "black": "Black or African American people",
    "nhpi": "Native Hawaiian or Pacific Islander people",
    "white": "White people",
    "other": "people of another race",
    "multiple": "people of several races",
}
_LEVELS: Final[Mapping[str, Mapping[str, str]]] = {
    "sex": {"female": "women", "male": "men", "other": "people of another sex"},
    "race": _RACES,
    "ethnicity": {
        "hispanic": "Hispanic or Latino people",
        "not_hispanic": "people who are not Hispanic or Latino",
    },
    "race_ethnicity": {
        "hispanic": "Hispanic or Latino people of any race",
        **{f"nh_{race}": f"{words}, not Hispanic or Latino" for race, words in _RACES.items()},
        **{f"{race}_ethnicity_unknown": f"{words}, ethnicity unknown" for race, words in _RACES.items()},
    },
    "language": {
        "en": "people who prefer English",
        "es": "people who prefer Spanish",
        "zh": "people who prefer Chinese",
        "vi": "people who prefer Vietnamese",
        "other": "people who prefer another language",
    },
    "interpreter_needed": {
        "yes": "people who need an interpreter",
        "no": "people who need no interpreter",
    },
    "tribal_affiliation": {"any": "people with a tribal affiliation on file"},
    "disability": {
        "any_yes": "people who report a disability",
        "all_no": "people who report no disability",
    },
    "payer": {
        "medicare": "people insured by Medicare",
        "medicaid": "people insured by Medicaid",
        "dual": "people insured by Medicare and Medicaid",
        "other_gov": "people insured by another public payer",
        "private": "people insured privately",
        "self_pay": "people without insurance",
        "other": "people with another payer",
    },
    "rurality": {
        "metro": "people in metropolitan areas",
        "micro": "people in small towns",
        "rural": "people in rural areas",
    },
}
_WHY_MISSING: Final[Mapping[str, str]] = {
    Missing.ABSENT.value: "not on file",
    Missing.UNKNOWN.value: "recorded as unknown",
    Missing.ASKED_UNKNOWN.value: "asked, and not known",
    Missing.DECLINED.value: "not given when asked",
    Missing.INVALID.value: "on file in an unreadable form",
    Missing.TEXT_ONLY.value: "on file as free text only",
    Missing.IMPRECISE.value: "on file too roughly",
    Missing.NOT_CAPTURED_IN_PROFILE.value: "not collected here",
    Missing.NOT_FETCHED.value: "not read by this program",
    Missing.FETCH_FAILED.value: "could not be read",
    Missing.WITHHELD.value: "withheld",
}
_BAND: Final = re.compile(r"(\d+)-(\d+)")

MEASURES: Final[Mapping[Measure, str]] = {
    Measure.EVENT_RATE: "share with the outcome",
    Measure.FLAG_RATE: "share flagged",
    Measure.AUROC: "C statistic (AUROC)",
    Measure.SENSITIVITY: "cases found",
    Measure.SPECIFICITY: "non-cases left alone",
    Measure.PPV: "alerts that were right",
    Measure.NPV: "low scores that were right",
    Measure.OE_RATIO: "seen for each predicted (O/E)",
    Measure.OE_FLAGGED: "O/E at and above the threshold",
    Measure.OE_UNFLAGGED: "O/E below the threshold",
}

WHY_NOT: Final[Mapping[WhyNot, str]] = {
    WhyNot.NO_ROWS: "nobody yet",
    WhyNot.NO_EVENTS: "nobody had the outcome",
    WhyNot.NO_NON_EVENTS: "everybody had the outcome",
    WhyNot.NOTHING_EXPECTED: "no event was predicted",
    WhyNot.NONE_FLAGGED: "nobody was flagged",
    WhyNot.NONE_UNFLAGGED: "everybody was flagged",
    WhyNot.TOO_FEW_EVENTS: "too few to say",
    WhyNot.NOT_A_PROBABILITY: "not defined: the score is no probability",
    WhyNot.NO_THRESHOLD: "not defined: no threshold",
    WhyNot.NO_REST: "nobody to compare with",
    WhyNot.SEPARATED: "too few to say",
    WhyNot.NOT_COMPARABLE: "cannot be compared",
    WhyNot.INDEX_LOOKS_AHEAD: "not defined: the score is the highest of several",
    WhyNot.NO_OUTCOME_OF_THIS_KIND: "no such outcome",
}


def attribute_words(attribute: str) -> str:
    """An attribute, or those of a crossing: "race and age"."""
    return " and ".join(ATTRIBUTES.get(part, part.replace("_", " ")) for part in attribute.split("*"))


def group_words(group: Group, scheme: SubgroupScheme) -> str:
    """A group as the subject of a sentence: "women", "White people, aged 60 to 79"."""
    if group == EVERYBODY:
        return "all patients"
    parts = [level_words(attribute, level, scheme) for attribute, level in group.where]
    words = ", ".join([parts[0], *(part.removeprefix("people ") for part in parts[1:])])
    return words if group.exclusive else f"{words}, alone or with another race"


def level_words(attribute: str, level: str, scheme: SubgroupScheme) -> str:
    """One level: by the site's own label, by the words above, else as it is written."""
    if is_missing(level):
        return f"people whose {ATTRIBUTES.get(attribute, attribute)} is {missing_words(level)}"
    policy = scheme.attributes.get(attribute)
    label = policy.labels.get(level) if policy else None
    known = label or _LEVELS.get(attribute, {}).get(level)
    if known:
        return known
    band = _BAND.fullmatch(level)
    if attribute == "age_band" and band:
        return f"people aged {band[1]} to {band[2]}"
    return f"people with {attribute_words(attribute)} “{level}”"


def missing_words(level: str) -> str:
    """Why a value is missing, after "is"."""
    return _WHY_MISSING.get(level.partition(":")[2], "not known")


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def listed(names: list[str]) -> str:
    """Names in a sentence: "a, b and c"; names that hold a comma are parted by semicolons."""
    if len(names) < 2:
        return "".join(names)
    comma = ";" if any("," in name for name in names) else ","
    return f"{f'{comma} '.join(names[:-1])}{comma if comma == ';' else ''} and {names[-1]}"


def period_words(horizon: str) -> str:
    """An ISO 8601 duration in words: `P30D` is "30 days"."""
    date_part, _, time_part = horizon.removeprefix("P").partition("T")
    units = {"Y": "year", "M": "month", "W": "week", "D": "day", "H": "hour", "S": "second"}
    pieces = [(n, units[unit]) for n, unit in re.findall(r"(\d+)([YMWD])", date_part)]
    pieces += [
        (n, "minute" if unit == "M" else units[unit]) for n, unit in re.findall(r"(\d+)([HMS])", time_part)
    ]
    return " ".join(f"{n} {unit}{'' if n == '1' else 's'}" for n, unit in pieces) or horizon

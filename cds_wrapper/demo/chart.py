"""From FHIR resources to what a chart shows: banner, latest results, problems, medicines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.cases import NAMED_CASES
from cds_wrapper.demo.fhir_values import JSON, birth_date, coded, items, mapping, taken_at, text
from cds_wrapper.demo.inpatients import INPATIENT_CASES
from cds_wrapper.demo.queries import PATIENT_VIEW

NOT_ON_FILE: Final = "not on file"
_CASES: Final = {case.profile.id: case for case in (*NAMED_CASES, *INPATIENT_CASES)}
_UNITS: Final = {
    "{1.73_m2}": "1.73 m²",
    "mm[Hg]": "mm Hg",
    "kg/m2": "kg/m²",
    "[degF]": "°F",
    "Cel": "°C",
}


@dataclass(frozen=True, slots=True, repr=False)
class Listed:
    """A line of the patient list; `title` and `why` only for a named case, `hook` is its story's."""

    id: str
    name: str
    who: str
    title: str = ""
    why: str = ""
    hook: str = PATIENT_VIEW


@dataclass(frozen=True, slots=True, repr=False)
class Fact:
    """One line of the chart: label, value, and the day it was taken."""

    label: str
    value: str
    day: str = ""

    @property
    def missing(self) -> bool:
        return self.value == NOT_ON_FILE


@dataclass(frozen=True, slots=True, repr=False)
class Chart:
    """What the screen shows of one patient's record."""

    patient: Listed
    born: str
    record_number: str
    on_file: tuple[Fact, ...]
    results: tuple[Fact, ...]
    stay: tuple[Fact, ...]
    problems: tuple[str, ...]
    medicines: tuple[str, ...]


def listed(patients: Iterable[JSON], today: date) -> tuple[list[Listed], list[Listed]]:
    """The named cases in their own order, then everybody else in the order they came."""
    lines = {text(one.get("id")): _line(one, today) for one in patients}
    cases = [lines[case] for case in _CASES if case in lines]
    return cases, [line for patient_id, line in lines.items() if patient_id not in _CASES]


def _line(patient: JSON, today: date) -> Listed:
    case = _CASES.get(text(patient.get("id")))
    sex = text(patient.get("gender")) or "sex not on file"
    return Listed(
        id=text(patient.get("id")),
        name=_name(patient),
        who=f"{_age(patient, today)}, {sex}",
        title=case.title if case else "",
        why=case.why if case else "",
        hook=case.hook if case else PATIENT_VIEW,
    )


def _name(patient: JSON) -> str:
    name = next((mapping(one) for one in items(patient.get("name"))), {})
    given = " ".join(text(part) for part in items(name.get("given")))
    return f"{text(name.get('family'))}, {given}".strip(", ") or "name not on file"


def _age(patient: JSON, today: date) -> str:
    born = birth_date(patient.get("birthDate"))
    if born is None:
        return "age not on file"
    years = born.age_on(today)
    return f"{years} years" if born.precision == "day" else f"about {years} years"


def chart_of(
    patient: JSON,
    observations: Sequence[JSON],
    conditions: Sequence[JSON],
    medications: Sequence[JSON],
    encounters: Sequence[JSON],
    today: date,
) -> Chart:
    """The chart of one patient; observations and encounters in any order."""
    newest_first = sorted(observations, key=taken_at, reverse=True)
    return Chart(
        patient=_line(patient, today),
        born=_born(patient),
        record_number=_record_number(patient),
        on_file=tuple(_on_file(patient)),
        results=tuple(_results(newest_first)),
        stay=tuple(_stay(encounters)),
        problems=tuple(_display(mapping(one.get("code"))) for one in conditions),
        medicines=tuple(_display(mapping(one.get("medicationCodeableConcept"))) for one in medications),
    )


def _born(patient: JSON) -> str:
    born = birth_date(patient.get("birthDate"))
    if born is None:
        return NOT_ON_FILE
    written = text(patient.get("birthDate"))
    return written if born.precision == "day" else f"{written} ({born.precision} only)"


def _record_number(patient: JSON) -> str:
    numbers = (text(mapping(one).get("value")) for one in items(patient.get("identifier")))
    return next(numbers, NOT_ON_FILE)


def _on_file(patient: JSON) -> Iterable[Fact]:
    """What registration has entered about the person, as it stands there."""
    extensions = {
        text(mapping(one).get("url")).rsplit("/", 1)[-1]: mapping(one)
        for one in items(patient.get("extension"))
    }
    yield Fact("Race", _category(extensions.get("us-core-race", {})))
    yield Fact("Ethnicity", _category(extensions.get("us-core-ethnicity", {})))
    yield Fact("Language", _language(patient))
    yield Fact("Interpreter", _interpreter(extensions.get("us-core-interpreter-needed", {})))


def _category(extension: JSON) -> str:
    parts = [mapping(part) for part in items(extension.get("extension"))]
    named = [text(mapping(part.get("valueCoding")).get("display")) for part in parts]
    written = [text(part.get("valueString")) for part in parts if part.get("url") == "text"]
    found = [name for name in named if name] or [f"“{words}” (free text)" for words in written if words]
    return ", ".join(dict.fromkeys(found)) or NOT_ON_FILE


def _language(patient: JSON) -> str:
    spoken = [mapping(one) for one in items(patient.get("communication"))]
    if not spoken:
        return NOT_ON_FILE
    codings = items(mapping(spoken[0].get("language")).get("coding"))
    code = next((text(mapping(coding).get("code")) for coding in codings), "")
    preferred = " (preferred)" if spoken[0].get("preferred") is True else ""
    return f"{code}{preferred}" if code else NOT_ON_FILE


def _interpreter(extension: JSON) -> str:
    answer = text(mapping(extension.get("valueCoding")).get("code"))
    return {"373066001": "needed", "373067005": "not needed"}.get(answer, NOT_ON_FILE)


_RESULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Total cholesterol": codes.TOTAL_CHOLESTEROL,
    "HDL cholesterol": codes.HDL,
    "Blood pressure": (*codes.PRESSURE_PANELS, codes.SYSTOLIC),
    "eGFR": codes.EGFR,
    "Creatinine": codes.CREATININE,
    "Body mass index": codes.BMI,
    "Smoking": codes.SMOKING_STATUS,
    "Respirations": codes.RESPIRATIONS,
    "Oxygen saturation": codes.SATURATION,
    "Inhaled oxygen": (codes.OXYGEN_FLOW, codes.OXYGEN_SHARE),
    "Pulse": codes.PULSE,
    "Responsiveness": codes.ALERTNESS,
    "Temperature": codes.TEMPERATURE,
}


_BEDSIDE: Final = (
    "Respirations",
    "Oxygen saturation",
    "Inhaled oxygen",
    "Pulse",
    "Responsiveness",
    "Temperature",
)
_ONLY_IF_THERE: Final = frozenset({"Creatinine", *_BEDSIDE})
"""eGFR says the same as creatinine, and nobody misses bedside values at a clinic."""


def _results(newest_first: Sequence[JSON]) -> Iterable[Fact]:
    facts = (_result(label, loinc, newest_first) for label, loinc in _RESULTS.items())
    return (fact for fact in facts if not (fact.missing and fact.label in _ONLY_IF_THERE))


def _result(label: str, loinc: Sequence[str], newest_first: Sequence[JSON]) -> Fact:
    for observation in newest_first:
        if set(coded(observation.get("code"), codes.LOINC)) & set(loinc):
            day = taken_at(observation).date().isoformat()
            return Fact(label, _value(observation), day)
    return Fact(label, NOT_ON_FILE)


def current_stay(encounters: Sequence[JSON]) -> JSON | None:
    """The Encounter that is going on."""
    return next((one for one in encounters if one.get("status") == "in-progress"), None)


def _stay(encounters: Sequence[JSON]) -> Iterable[Fact]:
    """The stay that is going on, and what lies behind; nothing at a clinic."""
    now = current_stay(encounters)
    if now is None:
        return
    yield Fact("In hospital since", _day(now, "start"))
    going = mapping(mapping(now.get("hospitalization")).get("dischargeDisposition"))
    yield Fact("Goes to", _display(going) if going else NOT_ON_FILE)
    for label, kind in (("Earlier stays until", "IMP"), ("Emergency visits", "EMER")):
        past = [one for one in encounters if one is not now and mapping(one.get("class")).get("code") == kind]
        days = sorted((_day(one, "end") for one in past), reverse=True)
        yield Fact(label, ", ".join(days) or "none on file")


def _day(encounter: JSON, end: str) -> str:
    return text(mapping(encounter.get("period")).get(end))[:10] or NOT_ON_FILE


def _value(observation: JSON) -> str:
    parts = [mapping(one) for one in items(observation.get("component"))]
    if parts:
        numbers = [mapping(part.get("valueQuantity")) for part in parts]
        return "/".join(f"{number.get('value', '?'):g}" for number in numbers) + " " + _unit(numbers[0])
    if "valueCodeableConcept" in observation:
        return _display(mapping(observation["valueCodeableConcept"]))
    quantity = mapping(observation.get("valueQuantity"))
    return f"{quantity.get('value', '?')} {_unit(quantity)}".strip()


def _unit(quantity: JSON) -> str:
    unit = text(quantity.get("unit")) or text(quantity.get("code"))
    for written, shown in _UNITS.items():
        unit = unit.replace(written, shown)
    return unit


def _display(concept: JSON) -> str:
    codings = [mapping(one) for one in items(concept.get("coding"))]
    shown = [text(coding.get("display")) or text(coding.get("code")) for coding in codings]
    return next((words for words in shown if words), text(concept.get("text")) or "unnamed")

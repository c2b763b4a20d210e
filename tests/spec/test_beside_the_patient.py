"""What is written down from records beside the Patient, case by case: for a clinician to read.

Left: what the hospital's Coverages, answers and encounters say. Right: what the record of the prediction
gets. "Missing" always comes with a reason. All patients are made up; the call is at noon on 15 June 2026.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from cds_wrapper.patient.demographics import (
    Beside,
    DemographicRules,
    InterpreterSource,
    NoPatient,
    NoResource,
    PayerElement,
    PayerTable,
    describe,
)
from tests.unit.patient.neighbours import (
    ACT_CODE,
    DECLINED,
    NO,
    SOPT,
    YES,
    answer,
    answers,
    bundle,
    coverage,
    encounter,
    raw,
    wants_interpreter,
)
from tests.unit.patient.patients import NOON, RURALITY, patient

RULES = DemographicRules(
    collect=("payer", "disability", "interpreter_needed", "rurality"),
    rurality=RURALITY,
    interpreter_sources=(InterpreterSource.ENCOUNTER, InterpreterSource.PATIENT),
)
OWN_WORDS = PayerTable(
    {
        (PayerElement.TYPE_CODING, "urn:oid:1.2.3|C-7"): "medicaid",
        (PayerElement.TYPE_TEXT, "medicare"): "medicare",
        (PayerElement.PAYOR_DISPLAY, "Acme Health Plan"): "private",
    }
)
SPELT_OUT = replace(RULES, payers=OWN_WORDS)


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One case: what came, the attribute it is about, the group, and flags about the data."""

    record_says: str
    came: bytes | NoResource
    group: str
    flags: str = ""
    rules: DemographicRules = RULES


MEDICARE, MEDICAID, PPO = "12", "211", (ACT_CODE, "PPO")
ACME = [{"reference": "Organization/1", "display": "Acme Health Plan"}]
PARENT = {"reference": "Patient/the-mother"}

PAYERS = (
    # By code
    Row("Medicare", raw(coverage(MEDICARE)), "medicare"),
    Row("a Medicare plan of many digits", bundle(coverage("1112")), "medicare"),
    Row("Medicaid", bundle(coverage(MEDICAID)), "medicaid"),
    Row("a programme for people with both", bundle(coverage("141")), "dual"),
    Row("military", bundle(coverage("311")), "other_gov"),
    Row("veterans, in the other code system", bundle(coverage((ACT_CODE, "VET"))), "other_gov"),
    Row("a department of corrections", bundle(coverage("41")), "other_gov"),
    Row("private, and Blue Cross", bundle(coverage("512"), coverage("6")), "private"),
    Row("pays for herself", bundle(coverage("81")), "self_pay"),
    Row("workers' compensation", bundle(coverage("95")), "other"),
    Row("charity care, which nobody pays", bundle(coverage("821")), "other"),
    Row("managed care, nobody knows whose", bundle(coverage("79")), "missing:imprecise"),
    Row("a PPO, which may be anybody's", bundle(coverage(PPO)), "missing:imprecise"),
    Row("a local government's PPO, coded twice", bundle(coverage(PPO, "3712")), "other_gov"),
    Row("no payer specified", bundle(coverage("9999")), "missing:unknown"),
    Row("a code of the hospital's own", bundle(coverage(("urn:oid:1.2.3", "C-7"))), "missing:invalid"),
    Row("a code without its system", bundle(coverage(("", "12"))), "missing:invalid"),
    # By the site's own words, and only by those
    Row("the text `medicare`", bundle(coverage(type={"text": "medicare"})), "missing:text_only"),
    Row(
        "the same, spelt out by the site",
        bundle(coverage(type={"text": "medicare"})),
        "medicare",
        "",
        SPELT_OUT,
    ),
    Row("another spelling", bundle(coverage(type={"text": "Medicare"})), "missing:text_only", "", SPELT_OUT),
    Row("the site's own code", bundle(coverage(("urn:oid:1.2.3", "C-7"))), "medicaid", "", SPELT_OUT),
    Row("a PPO of Acme", bundle(coverage(PPO, payor=ACME)), "private", "", SPELT_OUT),
    Row(
        "Medicare, run by Acme: the code decides",
        bundle(coverage("111", payor=ACME)),
        "medicare",
        "",
        SPELT_OUT,
    ),
    # Which of several
    Row("Medicare and Medicaid", bundle(coverage(MEDICARE), coverage(MEDICAID)), "dual"),
    Row(
        "Medicare first, Medicaid third",
        bundle(coverage("5", order=2), coverage(MEDICAID, order=3), coverage(MEDICARE, order=1)),
        "dual",
    ),
    Row(
        "private first, Medicare second",
        bundle(coverage(MEDICARE, order=2), coverage("5", order=1)),
        "private",
    ),
    Row(
        "private first, Medicare without a place",
        bundle(coverage(MEDICARE), coverage("5", order=1)),
        "private",
    ),
    Row(
        "private and Medicare, neither first",
        bundle(coverage(MEDICARE), coverage("5")),
        "missing:imprecise",
        "several_payers",
    ),
    Row(
        "private, and a dental plan beside it",
        bundle(coverage((ACT_CODE, "DENTAL")), coverage("5")),
        "private",
        "another_payer_not_known",
    ),
    Row(
        "the first one only in words, the second Medicaid",
        bundle(coverage(order=1, type={"text": "Acme"}), coverage(MEDICAID, order=2)),
        "missing:text_only",
    ),
    Row(
        "Medicare ended yesterday, private since",
        bundle(coverage(MEDICARE, period={"end": "2026-06-14"}), coverage("5", period={"start": "2026-06"})),
        "private",
    ),
    Row("Medicare to the end of today", bundle(coverage(MEDICARE, period={"end": "2026-06-15"})), "medicare"),
    Row(
        "starts next month",
        bundle(coverage(MEDICARE, period={"start": "2026-07-01"})),
        "missing:absent",
        "no_active_coverage",
    ),
    Row("cancelled", bundle(coverage(MEDICARE, status="cancelled")), "missing:absent", "no_active_coverage"),
    Row(
        "more Coverages than were sent",
        bundle(coverage("5"), link=[{"relation": "next", "url": "u"}]),
        "missing:imprecise",
        "truncated",
    ),
    # None is not "uninsured"
    Row("the EHR has none", NoResource.EMPTY, "missing:absent", "coverage_empty"),
    Row("an empty answer", bundle(), "missing:absent", "coverage_empty"),
    Row("nothing came", NoResource.ABSENT, "missing:not_fetched", "coverage_not_sent"),
    Row("the EHR could not look", NoResource.ERROR, "missing:fetch_failed", "coverage_error"),
    Row("somebody else's", NoResource.OTHER_PATIENT, "missing:fetch_failed", "other_patient"),
    # A policy that somebody else holds is this patient's all the same
    Row(
        "Medicaid through her mother",
        bundle(coverage(MEDICAID, policyHolder=PARENT, payor=[PARENT])),
        "medicaid",
    ),
)


@pytest.mark.parametrize("row", PAYERS, ids=lambda row: row.record_says)
def test_who_pays(row: Row) -> None:
    found = describe(NoPatient.ABSENT, NOON, row.rules, Beside(coverage=row.came))["payer"]

    assert (found.level, ", ".join(found.dq)) == (row.group, row.flags)


def test_the_codes_that_decided_are_kept_and_never_the_words() -> None:
    both = bundle(coverage(PPO, "3712", payor=ACME, type={"coding": [{"system": SOPT, "code": "3712"}],
                                                           "text": "Acme Gold"}))  # fmt: skip
    found = describe(NoPatient.ABSENT, NOON, SPELT_OUT, Beside(coverage=both))["payer"]

    assert found.to_record() == {
        "value": "other_gov",
        "missing": None,
        "members": ["other_gov"],
        "raw_codes": ["https://nahdo.org/sopt|3712"],
        "source": "Coverage.type",
        "dq": [],
        "scheme": "payer/1+site",
    }


HEARING, SEEING = "69856-3", "69857-1"
PARTLY = "not_every_question_asked"
ALL_NO = (NO,) * 6
EARLIER, LATER = {"effectiveDateTime": "2024-01-02T10:00:00+02:00"}, {"effectiveDateTime": "2025"}
DEPRESSION = {"resourceType": "Observation", "status": "final", "code": {"coding": [
    {"system": "http://loinc.org", "code": "94023-9"}]}}  # fmt: skip

DISABILITIES = (
    Row("six times no", bundle(*answers(*ALL_NO)), "all_no"),
    Row("five times no, errands alone: yes", bundle(*answers(*ALL_NO[:5], YES)), "any_yes"),
    Row("only hearing was asked: no", bundle(*answers(NO)), "all_no", PARTLY),
    Row("only hearing was asked: yes", bundle(*answers(YES)), "any_yes", PARTLY),
    Row(
        "hearing no, seeing declined",
        bundle(answer(HEARING, NO), answer(SEEING, None, dataAbsentReason=DECLINED)),
        "missing:declined",
        PARTLY,
    ),
    Row(
        "hearing yes, seeing declined",
        bundle(answer(HEARING, YES), answer(SEEING, None, dataAbsentReason=DECLINED)),
        "any_yes",
        PARTLY,
    ),
    Row(
        "hearing no, seeing not answered",
        bundle(answer(HEARING, NO), answer(SEEING, None)),
        "missing:absent",
        PARTLY,
    ),
    Row(
        "hearing in words only", bundle(answer(HEARING, None, valueString="yes")), "missing:text_only", PARTLY
    ),
    Row("hearing as true", bundle(answer(HEARING, None, valueBoolean=True)), "any_yes", PARTLY),
    Row(
        "hearing with a code of another list", bundle(answer(HEARING, "LA6751-7")), "missing:invalid", PARTLY
    ),
    Row(
        "yes once, no since",
        bundle(answer(HEARING, NO, **LATER), answer(HEARING, YES, **EARLIER)),
        "all_no",
        PARTLY,
    ),
    Row(
        "no once, yes since",
        bundle(answer(HEARING, YES, **LATER), answer(HEARING, NO, **EARLIER)),
        "any_yes",
        PARTLY,
    ),
    Row(
        "yes once, declined since",
        bundle(answer(HEARING, None, dataAbsentReason=DECLINED, **LATER), answer(HEARING, YES, **EARLIER)),
        "any_yes",
        PARTLY,
    ),
    Row(
        "no, and a yes entered in error",
        bundle(answer(HEARING, NO, **EARLIER), answer(HEARING, YES, status="entered-in-error", **LATER)),
        "all_no",
        PARTLY,
    ),
    Row(
        "a yes of tomorrow",
        bundle(answer(HEARING, YES, effectiveDateTime="2026-06-16")),
        "missing:absent",
        "not_asked",
    ),
    Row(
        "all six in one Observation",
        raw({"resourceType": "Observation", "status": "final", "component": answers(*ALL_NO)}),
        "all_no",
    ),
    Row(
        "no, and more than was sent",
        bundle(*answers(*ALL_NO), link=[{"relation": "next", "url": "u"}]),
        "missing:imprecise",
        "truncated",
    ),
    Row("a depression score filed as disability status", bundle(DEPRESSION), "missing:absent", "not_asked"),
    Row("the EHR has none", NoResource.EMPTY, "missing:absent", "disability_empty"),
    Row("nothing came", NoResource.ABSENT, "missing:not_fetched", "disability_not_sent"),
)


@pytest.mark.parametrize("row", DISABILITIES, ids=lambda row: row.record_says)
def test_what_the_patient_answered(row: Row) -> None:
    found = describe(NoPatient.ABSENT, NOON, row.rules, Beside(disability=row.came))["disability"]

    assert (found.level, ", ".join(found.dq)) == (row.group, row.flags)


def test_each_answer_is_kept_so_that_another_scheme_can_be_computed() -> None:
    found = describe(NoPatient.ABSENT, NOON, RULES, Beside(disability=bundle(*answers(NO, YES))))[
        "disability"
    ]

    assert found.raw_codes == ("http://loinc.org|69856-3=LA32-8", "http://loinc.org|69857-1=LA33-6")
    assert (found.scheme, found.source) == ("acs-six-questions/1", "Observation.value")


WANTS, DOES_NOT = "373066001", "373067005"
NOT_COME = (NoResource.ABSENT, NoResource.ERROR)
INTERPRETERS = (
    ("the Encounter alone says so", None, encounter(extension=[wants_interpreter(WANTS)]), "yes", ""),
    ("the Patient alone says so", WANTS, encounter(), "yes", ""),
    ("both say no", DOES_NOT, encounter(extension=[wants_interpreter(DOES_NOT)]), "no", ""),
    (
        "the Encounter says yes, the Patient no",
        DOES_NOT,
        encounter(extension=[wants_interpreter(WANTS)]),
        "yes",
        "interpreter_sources_differ",
    ),
    ("neither says", None, encounter(), "missing:absent", ""),
    ("no encounter in the call, the Patient says so", WANTS, None, "yes", ""),
    ("no encounter in the call, the Patient is silent", None, None, "missing:absent", ""),
    (
        "the Encounter did not come, the Patient says so",
        WANTS,
        NoResource.ABSENT,
        "yes",
        "encounter_not_sent",
    ),
    (
        "the Encounter did not come, the Patient is silent",
        None,
        NoResource.ABSENT,
        "missing:not_fetched",
        "encounter_not_sent",
    ),
)


@pytest.mark.parametrize(
    ("code", "came", "level", "flags"),
    [row[1:] for row in INTERPRETERS],
    ids=[row[0] for row in INTERPRETERS],
)
def test_whether_an_interpreter_is_needed(code: str | None, came: object, level: str, flags: str) -> None:
    view = came if came is None or isinstance(came, NoResource) else raw(came)
    extensions = [wants_interpreter(code)] if code else []
    found = describe(patient(*extensions), NOON, RULES, Beside(encounter=view))["interpreter_needed"]

    assert (found.level, ", ".join(found.dq)) == (level, flags)


def test_the_site_decides_who_is_asked_first() -> None:
    patient_first = replace(RULES, interpreter_sources=tuple(InterpreterSource))
    beside = Beside(encounter=raw(encounter(extension=[wants_interpreter(WANTS)])))
    found = describe(patient(wants_interpreter(DOES_NOT)), NOON, patient_first, beside)

    assert found["interpreter_needed"].value == "no"


HOMES: tuple[tuple[str, list[object], str], ...] = (
    ("a rural postal code", [{"postalCode": "74048"}], "rural"),
    ("nine digits", [{"postalCode": "02139-1234"}], "metro"),
    ("moved", [{"use": "old", "postalCode": "74048"}, {"use": "home", "postalCode": "02139"}], "metro"),
    ("not in the table", [{"postalCode": "99999"}], "missing:unknown"),
    ("no postal code", [{"city": "Nowhere"}], "missing:absent"),
    ("another country", [{"postalCode": "74048", "country": "DE"}], "missing:unknown"),
    ("no address", [], "missing:absent"),
)


@pytest.mark.parametrize(("who", "address", "level"), HOMES, ids=[row[0] for row in HOMES])
def test_what_the_place_a_patient_lives_in_is_like(who: str, address: list[object], level: str) -> None:
    found = describe(patient(address=address), NOON, RULES)["rurality"]

    assert (found.level, found.raw_codes, found.scheme) == (level, (), "RUCA 2020 ZIP5"), who

"""What the demonstration vendor says: a card for a patient it can score, else an OperationOutcome."""

from __future__ import annotations

import uuid
from typing import Any, Final

from cds_wrapper.demo.fhir_values import Measured
from cds_wrapper.demo.prevent import MODEL_ID, MODEL_VERSION, PreventRisk
from cds_wrapper.demo.prevent_inputs import Scorable
from cds_wrapper.demo.refusals import Refusals

EXTENSION: Final = "org.example.prevent"
"""Where the score stands in a card: `cards[0].extension."org.example.prevent".probability`."""

INPUT_SYSTEM: Final = "urn:cds-wrapper:demo-input"
LABEL: Final = "Demonstration model (PREVENT base equations)"
_PAPER: Final = "https://doi.org/10.1161/CIRCULATIONAHA.123.067626"
_WARN_FROM: Final = 0.20
"""From 20 % the usual bands say "high risk"; the bands are policy, not part of the model."""


def compose_card(scorable: Scorable, risk: PreventRisk, card_uuid: uuid.UUID) -> dict[str, Any]:
    """Write the card for one patient, low risk too; it is never critical."""
    return {
        "uuid": str(card_uuid),
        "summary": f"10-year cardiovascular risk {percent(risk.total_cvd)}",
        "indicator": "warning" if risk.total_cvd >= _WARN_FROM else "info",
        "detail": _detail(scorable, risk),
        "source": {
            "label": LABEL,
            "url": _PAPER,
            "topic": {
                "system": "urn:cds-wrapper:demo",
                "code": "prevent10yearcvd",
                "display": "10-year cardiovascular risk",
            },
        },
        "extension": {EXTENSION: _machine_readable(scorable, risk)},
    }


def percent(probability: float) -> str:
    """Print a probability with one decimal: "3.1 %"."""
    return "below 0.1 %" if probability < 0.0005 else f"{probability * 100:.1f} %"


def _machine_readable(scorable: Scorable, risk: PreventRisk) -> dict[str, Any]:
    optional = {} if risk.heart_failure is None else {"heart_failure": round(risk.heart_failure, 6)}
    return {
        "probability": round(risk.total_cvd, 6),
        "ascvd": round(risk.ascvd, 6),
        **optional,
        "model": MODEL_ID,
        "version": MODEL_VERSION,
        "egfr_code": scorable.egfr_code,
        "egfr_formula": scorable.measurements.egfr_formula,
        "birth_date_precision": scorable.person.precision,
    }


def _detail(scorable: Scorable, risk: PreventRisk) -> str:
    """Write GitHub Flavored Markdown; lists and no table, because some EHRs show cards in a narrow panel."""
    heart_failure = "not calculated" if risk.heart_failure is None else percent(risk.heart_failure)
    lines = [
        "**Risk within 10 years**",
        "",
        f"- Cardiovascular disease: {percent(risk.total_cvd)}",
        f"- Atherosclerotic cardiovascular disease: {percent(risk.ascvd)}",
        f"- Heart failure: {heart_failure}",
        "",
        "**Calculated from**",
        "",
        *(f"- {line}" for line in (*_person_lines(scorable), *_measured_lines(scorable))),
        *(f"- {line}" for line in _history_lines(scorable)),
        "",
        "Demonstration only, not a medical device.",
    ]
    return "\n".join(lines)


def _person_lines(scorable: Scorable) -> list[str]:
    person = scorable.person
    doubt = "" if person.precision == "day" else f" (birth date known to the {person.precision})"
    return [f"Age {person.age}{doubt}, {person.sex.value}"]


def _measured_lines(scorable: Scorable) -> list[str]:
    measured = scorable.measurements
    lines = [
        _line("Total cholesterol", measured.total_cholesterol, "mg/dL"),
        _line("HDL cholesterol", measured.hdl, "mg/dL"),
        _line("Systolic blood pressure", measured.systolic_pressure, "mm Hg"),
        _line("eGFR", measured.egfr, "mL/min/1.73 m²") + _egfr_source(scorable),
    ]
    if measured.bmi is None:
        return [*lines, f"Heart failure needs a usable {measured.bmi_note}"]
    return [*lines, _line("Body mass index", measured.bmi, "kg/m²")]


def _egfr_source(scorable: Scorable) -> str:
    return ", from creatinine" if scorable.measurements.egfr_formula != "reported" else ""


def _line(label: str, measured: Measured, unit: str) -> str:
    taken = f" ({measured.day})" if measured.day else ""
    return f"{label} {measured.value:.4g} {unit}{taken}"


def _history_lines(scorable: Scorable) -> list[str]:
    history = scorable.history
    answers = {
        "Diabetes": history.diabetes,
        "Current smoking": history.smoker,
        "Blood pressure medicine": history.antihypertensive,
        "Statin": history.statin,
    }
    return [f"{question}: {'yes' if answer else 'no'}" for question, answer in answers.items()]


def refuse(refusals: Refusals) -> dict[str, Any]:
    """Name every input that stands in the way, one issue each; no value of the patient is in it."""
    return outcome(
        *(
            {
                "severity": "error",
                "code": "required",
                "details": {
                    "coding": [{"system": INPUT_SYSTEM, "code": refusal.input.value}],
                    "text": refusal.text,
                },
            }
            for refusal in refusals
        )
    )


def complain(code: str, sentence: str) -> dict[str, Any]:
    """Say in an OperationOutcome what is wrong with a request; `code` is from the FHIR issue types."""
    return outcome({"severity": "error", "code": code, "details": {"text": sentence}})


def outcome(*issues: dict[str, Any]) -> dict[str, Any]:
    """Wrap issues in an OperationOutcome."""
    return {"resourceType": "OperationOutcome", "issue": list(issues)}

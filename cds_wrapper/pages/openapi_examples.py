"""Examples in the OpenAPI document. Everybody in them is invented; a test holds them against CDS Hooks."""

from __future__ import annotations

from typing import Any, Final

CARD_ID: Final = "01930e5c-7a10-5b9e-8f7d-3c0a52b6e4d1"

CALL: Final[dict[str, Any]] = {
    "hook": "patient-view",
    "hookInstance": "7c0d4a52-9d0c-4a55-9d6e-0b8a2f6f6a34",
    "fhirServer": "https://ehr.example.org/fhir",
    "context": {"userId": "Practitioner/example", "patientId": "example-1"},
    "prefetch": {
        "patient": {
            "resourceType": "Patient",
            "id": "example-1",
            "name": [{"family": "Example", "given": ["Ann"]}],
            "gender": "female",
            "birthDate": "1971-04-02",
        },
        "smoking": None,
    },
}
ANSWER: Final[dict[str, Any]] = {
    "cards": [
        {
            "uuid": CARD_ID,
            "summary": "10-year cardiovascular risk 3.1 % – true risk may be higher for this patient",
            "indicator": "info",
            "source": {"label": "Demonstration model"},
            "detail": (
                "**Elsewhere, this score has been too low for similar patients. True risk may be higher than"
                " shown.**\n\n---\n\nEstimated from the chart."
            ),
            "links": [
                {
                    "label": "How this score was checked",
                    "url": "https://cds.example.org/evidence/cvd-risk",
                    "type": "absolute",
                }
            ],
        }
    ]
}
NOTHING_TO_SAY: Final[dict[str, Any]] = {"cards": []}
DISCOVERY: Final[dict[str, Any]] = {
    "services": [
        {
            "hook": "patient-view",
            "title": "10-year cardiovascular risk",
            "description": "Estimates the risk of a cardiovascular event within ten years.",
            "id": "cvd-risk",
            "prefetch": {"patient": "Patient/{{context.patientId}}"},
            "usageRequirements": "Without the Patient the card cannot say how the score was checked.",
        }
    ]
}
FEEDBACK: Final[dict[str, Any]] = {
    "feedback": [
        {
            "card": CARD_ID,
            "outcome": "overridden",
            "overrideReason": {
                "reason": {
                    "code": "patient-ineligible",
                    "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes",
                    "display": "Patient ineligible",
                }
            },
            "outcomeTimestamp": "2026-06-30T12:00:00Z",
        }
    ]
}
REFUSAL: Final[dict[str, Any]] = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "error",
            "code": "invalid",
            "diagnostics": "`context.patientId` is missing: send the patient's FHIR id as a string.",
        }
    ],
}

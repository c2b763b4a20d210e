"""The columns of `outcomes_v1` and `follow_up_v1`: what became of patients, and who was looked at until when.

A row is never changed: what is learned later, or was wrong, is another row of the same `outcome_id`.
"""

from __future__ import annotations

from typing import Final

from cds_wrapper.ledger.columns import Column, Kind

OUTCOME_COLUMNS: Final[tuple[Column, ...]] = (
    Column("sequence", Kind.INTEGER, "Place in the count of outcome rows, from 1.", required=True),
    Column("recorded_at", Kind.TIMESTAMP, "When the row was imported.", required=True),
    Column(
        "outcome_id",
        Kind.TEXT,
        "Which outcome it is about: a later row of the same id replaces it, and both stay.",
        required=True,
    ),
    Column("service_id", Kind.TEXT, "Service whose declaration it was read by.", required=True),
    Column("outcome", Kind.TEXT, "Name of the declared outcome.", required=True),
    Column("patient_key", Kind.TEXT, "Pseudonym of the patient's declared identifier."),
    Column("patient_fhir_key", Kind.TEXT, "Pseudonym of the patient's FHIR id."),
    Column("encounter_key", Kind.TEXT, "Pseudonym of the encounter's declared identifier."),
    Column("prediction_id", Kind.TEXT, "The prediction it is about, where the source knows it."),
    Column(
        "report",
        Kind.TEXT,
        "`event` at `happened_at`; or of a case `no_event`, `censored`, `unverified`; or `withdrawn`.",
        required=True,
    ),
    Column(
        "reason", Kind.TEXT, "Why it is censored or not verified: `competing_event`, `left`, `not_tested`."
    ),
    Column("happened_at", Kind.TIMESTAMP, "When the event was, or when the patient was lost from sight."),
    Column("value", Kind.REAL, "How many or how much, for a count or a cost."),
    Column("known_on", Kind.TEXT, "Since when it has been known, where the source says so."),
    Column("source", Kind.TEXT, "What it was read from: `csv`, `parquet` or `fhir`.", required=True),
    Column("import_id", Kind.TEXT, "The import that brought it.", required=True),
)

FOLLOW_UP_COLUMNS: Final[tuple[Column, ...]] = (
    Column("import_id", Kind.TEXT, "The import that said so.", required=True),
    Column("recorded_at", Kind.TIMESTAMP, "When it was imported.", required=True),
    Column("service_id", Kind.TEXT, "Service it is for.", required=True),
    Column("outcome", Kind.TEXT, "Name of the declared outcome.", required=True),
    Column("site", Kind.TEXT, "The site whose patients were looked at; null for all."),
    Column("covers_from", Kind.TEXT, "First day on which an event would have been seen.", required=True),
    Column("covers_to", Kind.TEXT, "The day after the last.", required=True),
)

"""The columns of the contract: what a record holds, column by column, with its meaning.

The tables, the views, the export and the reference pages are made from `COLUMNS`, `CORRECTION_COLUMNS`,
`FEEDBACK_COLUMNS` and `DECISION_COLUMNS`, so they cannot disagree. Unknown is null: never -1, 0 or an empty
text. A column that is not here yet comes as an added column, null in older rows; the canonical text in
`values` leaves null columns out, so neither the text nor the hash of an older row changes when that happens.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a column holds, the same on every database and in every export.

    A timestamp is UTC text, ISO 8601 with milliseconds and `Z`: it sorts as it reads. JSON is the text of an
    array or an object with sorted keys, so that it stays what it was byte for byte.
    """

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, kind, meaning in one sentence.

    `stream` says whether the prediction line carries it (the wide ones stay in the view), `required` that it
    is never null, `since` the schema number it came with.
    """

    name: str
    kind: Kind
    meaning: str
    stream: bool = True
    required: bool = False
    since: int = 1


def _text(name: str, meaning: str, *, required: bool = False, stream: bool = True) -> Column:
    return Column(name, Kind.TEXT, meaning, required=required, stream=stream)


def _integer(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Kind.INTEGER, meaning, required=required)


def _real(name: str, meaning: str) -> Column:
    return Column(name, Kind.REAL, meaning)


def _boolean(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Kind.BOOLEAN, meaning, required=required)


def _time(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Kind.TIMESTAMP, meaning, required=required)


def _json(name: str, meaning: str, *, stream: bool = True) -> Column:
    return Column(name, Kind.JSON, meaning, stream=stream)


def _level(name: str, what: str) -> Column:
    return _text(name, f"{what}: the group, or `missing:<reason>`; null when the site does not collect it.")


# Set by the committer at the moment of writing; a caller can know none of them.
COMMITTED = ("sequence", "writer", "recorded_at", "ledger_ms", "previous_hash", "hash")

# The end of every table whose rows are chained; the hash is over the canonical text of all other columns.
CHAIN_COLUMNS = (
    _text(
        "previous_hash",
        "Hash of the row before it; null only in the first row of the ledger's first chain.",
        stream=False,
    ),
    _text("hash", "SHA-256 of all other columns of the row, in hex digits.", required=True),
)

DEMOGRAPHIC_COLUMNS = (
    _level("age_band", "Age band at the hook's time"),
    _level("sex", "Sex"),
    _level("race", "Race, exclusive view (`multiple` for two or more)"),
    _level("ethnicity", "Ethnicity"),
    _level("race_ethnicity", "Race and ethnicity together, exclusive view"),
    _level("language", "Preferred language"),
    _level("interpreter_needed", "Whether an interpreter is needed"),
    _level("tribal_affiliation", "Whether any tribal affiliation is on record (never which)"),
    _level("disability", "Answer to the disability questions"),
    _level("payer", "Kind of payer"),
    _level("deprivation_quintile", "Quintile of the site's deprivation index"),
    _level("rurality", "Rurality of the home address"),
)

COLUMNS: tuple[Column, ...] = (
    # What happened, and its place in the record.
    _text("prediction_id", "Id of this prediction (UUIDv7), random but for its time.", required=True),
    _integer("sequence", "Place in this writer's gap-free count of predictions, from 1.", required=True),
    _text("writer", "Who wrote the row: host and slot, a slot being held by a file lock.", required=True),
    _time("recorded_at", "When the row was written; in the order of `sequence`.", required=True),
    _text("service_id", "Id of the CDS service that was called.", required=True),
    _text("hook", "Hook that fired.", required=True),
    _text("trigger", "What set the hook off inside the EHR, where it says so."),
    _text("hook_instance", "The EHR's id of this firing of the hook.", required=True),
    _boolean("hook_instance_valid", "Whether it has the UUID form the specification asks for."),
    _text("client", "Configured name of the EHR that called.", required=True),
    _text("environment", "`production`, `test` or `development`, of the calling EHR.", required=True),
    _boolean("is_test", "Whether this is a test patient; counted, never measured.", required=True),
    _text("tenant", "Tenant of the calling EHR, where it has several."),
    _text("issuer", "Issuer of the calling EHR's token; null while no token is asked for."),
    _time("occurred_at", "When the call came in; neither ordered nor unique.", required=True),
    # Whom it was about, under pseudonyms.
    _text("patient_key", "Pseudonym of the patient's identifier in the first declared system present."),
    _text("patient_key_source", "The identifier system `patient_key` was made from."),
    _text("patient_fhir_key", "Pseudonym of the patient id in the hook's context; always there."),
    _text("encounter_key", "Pseudonym of the encounter's identifier in the first declared system present."),
    _text("encounter_key_source", "The identifier system `encounter_key` was made from."),
    _text("encounter_fhir_key", "Pseudonym of the encounter id in the hook's context."),
    _text("user_key", "Pseudonym of the user id in the hook's context."),
    _text("user_kind", "Resource type of that user, such as `Practitioner` or `PractitionerRole`."),
    _text("key_id", "Which pseudonym keys were used."),
    _text("site", "Site, where the encounter says so and the site has a name for it."),
    _text("unit", "Unit, where the encounter says so and the site has a name for it."),
    _text("care_setting", "Care setting, where the encounter says so."),
    # What the vendor answered.
    _text("model_id", "Id of the model."),
    _text("model_version", "Version of the model."),
    _text("model_version_source", "Who said so: `response` or `configuration`."),
    _text("status", "How the prediction ended, from the closed list of statuses.", required=True),
    _text("reason", "More about the status, from a closed list."),
    _real("score", "The score in the unit of `score_kind`; a probability is a fraction of 1."),
    _text("score_kind", "`probability`, `index` or `rank`."),
    _time("score_at", "The vendor's own time of the score, where it gives one."),
    _text("threshold_id", "Id of the service's first threshold."),
    _real("threshold", "That threshold, in the unit of the score."),
    _boolean("flagged", "Whether the score reached that threshold; null without a score or a threshold."),
    _text("band", "Name of the band the score lies in, where the service declares bands."),
    # The patient's groups at that moment.
    *DEMOGRAPHIC_COLUMNS,
    _json(
        "demographics", "Per attribute: value, missing, members, codes, source, flags, scheme.", stream=False
    ),
    _json("subgroups", "The groups and declared crossings, as `attribute=group`."),
    # What the vendor was given.
    _json(
        "inputs",
        "What became of each prefetch key, also of the wrapper's own: `state`; `source` (`prefetch`,"
        " `fhir`, or `both` for a first page that came and further ones that were read) and `read_at` (of"
        " prefetch: when it came with the call), where it was looked for; `why` it could not be read."
        " Where the service declares the model's inputs, `features` holds each by its name: `path` of the"
        " element, `code` it came under, `source` (`prefetch`, `fhir`, `context`), `age_s` in seconds, why it"
        " is `missing` and whether the vendor `named` it so, whether it is `doubtful`; its `value` only where"
        " the site wants it kept.",
        stream=False,
    ),
    _integer(
        "inputs_used",
        "How many inputs were there and usable: of those declared, or its keys where the vendor reads FHIR.",
    ),
    _json(
        "inputs_missing",
        "Inputs named as missing by the vendor, then those declared and not found, by their names on a card.",
    ),
    _json(
        "inputs_doubtful",
        "Inputs that came under a code the model card doubts, or are known to be less reliable in this"
        " patient's group; null where none are declared.",
    ),
    # What was made of it.
    _text("caveat_level", "How far the model may be relied on for this patient."),
    _json("caveat_reasons", "Why, strongest first, as `reason[:direction[:side]]`."),
    _text("caveat_scope", "`patient` when a reason is specific to this patient's groups, else `model`."),
    _boolean("caveat_in_summary", "Whether the card's summary carries the caveat's short form."),
    _json("wording_ids", "Ids of the approved texts used."),
    _text("wording_version", "Version of the approved texts."),
    _text("words_digest", "Digest of the words the wrapper put on the cards."),
    _text("evidence_edition", "Edition of the evidence that spoke."),
    _text("plan_version", "Version of the response plan."),
    _text("service_version", "Digest of the service's own file."),
    _text("card_version", "Digest of the model card."),
    _text("subgroups_version", "Digest of the subgroup file."),
    _json(
        "file_digests",
        "Full digest of every file that decided, by kind; the ledger keeps the files.",
        stream=False,
    ),
    _text("disposition", "What was done with the card, as the plan decided ahead or as was ordered."),
    _text("decision_id", "The order the service was under, in `decisions_v1`; null without one."),
    # What went back, as planned when the row was written; the view puts a correction over it.
    _text("displayed", "`shown`, `silent` (the EHR shows nothing) or `unknown`.", required=True),
    _text("delivery", "`sent`, `abandoned` (the EHR hung up), `not_returned` (too late).", required=True),
    _integer("http_status", "HTTP status of the answer."),
    _json("cards_returned", "Ids of the cards in the answer; null when it is not known what was returned."),
    _json("changes_made", "Every change made to the vendor's answer.", stream=False),
    # What it cost. A record cannot hold the time of its own sync: see `ledger_ms` and `total_ms`.
    _integer("vendor_http_status", "HTTP status of the vendor's answer; null when none came."),
    _integer("vendor_attempts", "How often the vendor was asked."),
    _text("vendor_hook_instance", "The id that our call to the vendor had; null when it was not asked."),
    _json(
        "vendor_cards",
        "The vendor's own ids of the cards in `cards_returned`, in that order; null where there is none.",
        stream=False,
    ),
    _real("trust_ms", "Milliseconds spent on recognising the caller."),
    _real("fhir_ms", "Milliseconds spent on reading what the EHR did not send."),
    _real("vendor_ms", "Milliseconds from asking the vendor to its last byte."),
    _real("decide_ms", "Milliseconds spent on groups, evidence, caveat, disposition and cards."),
    _real("ledger_ms", "Milliseconds this row waited to be written; the sync that follows is not in it."),
    _real("total_ms", "Milliseconds from the call's arrival to handing over this row, before `ledger_ms`."),
    _real("budget_ms", "Time budget of the service in milliseconds."),
    _integer("bytes_in", "Size of the request's body in bytes."),
    _integer("bytes_out", "Size of the answer's body in bytes."),
    _text("wrapper_version", "Version of cds-wrapper that wrote the row.", required=True),
    *CHAIN_COLUMNS,
)

CORRECTION_COLUMNS: tuple[Column, ...] = (
    _integer("sequence", "Place in this writer's gap-free count of corrections, from 1.", required=True),
    _text("writer", "Who wrote the row: host and slot.", required=True),
    _time("recorded_at", "When the row was written; in the order of `sequence`.", required=True),
    _text("prediction_id", "Prediction whose row says what was planned and did not happen.", required=True),
    _text("delivery", "What became of the answer instead: `not_returned`.", required=True),
    _json("cards_returned", "Ids of the cards that were returned in its stead; null when that is not known."),
    *CHAIN_COLUMNS,
)

SUBGROUP_COLUMNS: tuple[Column, ...] = (
    _text("prediction_id", "The prediction.", required=True),
    _text("writer", "Who wrote its row.", required=True),
    _integer("sequence", "Place of its row in that writer's count of predictions.", required=True),
    _text("service_id", "Its service.", required=True),
    _time("occurred_at", "When its call came in.", required=True),
    _text("attribute", "Name of the attribute; `race*age_band` for a declared crossing.", required=True),
    _text("level", "The patient's level of it, or `missing:` and why it is not known.", required=True),
    _text(
        "view",
        "`exclusive`: one row per attribute, adding up to all predictions; or `alone_or_in_combination`: one"
        " per member, so that a person of two races is counted with both.",
        required=True,
    ),
    _text("missing", "Why the level is not known; null when it is."),
    _text("scheme", "Name of the scheme the level was read by; null for a site's own attributes."),
)
"""One row per prediction, attribute and view: `prediction_subgroups_v1`."""

FEEDBACK_COLUMNS: tuple[Column, ...] = (
    _integer("sequence", "Place in this writer's gap-free count of feedback, from 1.", required=True),
    _text("writer", "Who wrote the row: host and slot.", required=True),
    _time("received_at", "When the feedback came in.", required=True),
    _text("service_id", "Service whose feedback address was called.", required=True),
    _text("client", "Configured name of the EHR that called.", required=True),
    _text("tenant", "Tenant of the calling EHR, where it has several."),
    _text(
        "prediction_id",
        "Prediction whose card this is about; null when the card was unknown: the view looks again.",
    ),
    _boolean("matched", "Whether the card is one of ours; the others are kept apart.", required=True),
    _text("card_uuid", "The card, as the EHR named it.", required=True),
    _text("outcome", "`accepted` or `overridden`.", required=True),
    _time("outcome_at", "When the clinician acted, in UTC.", required=True),
    _text("outcome_at_raw", "The same as the EHR wrote it.", required=True),
    _json("accepted_suggestions", "Ids of the accepted suggestions; null when none were named."),
    _text("reason_code", "Code of the override reason."),
    _text("reason_system", "Code system of the override reason."),
    _text("reason_display", "Display of the override reason, from the EHR's list."),
    _boolean(
        "user_comment_present",
        "Whether a free-text comment came; its text may name a patient and is not kept.",
        required=True,
    ),
    _json(
        "flags",
        "What was odd about the entry: `suggestions_missing`, `suggestions_misspelt`, `time_without_zone`,"
        " `time_as_number`, `outcome_misspelt`, `reason_misspelt`, `reason_in_extension`,"
        " `reason_unreadable`, `several_reasons` (the first is kept).",
    ),
    *CHAIN_COLUMNS,
)

# People, and no patients, stand behind these rows: they stay when the predictions they were about are erased.
DECISION_COLUMNS: tuple[Column, ...] = (
    _integer("sequence", "Place in this writer's gap-free count of decisions, from 1.", required=True),
    _text("writer", "Who wrote the row: host and command.", required=True),
    _time(
        "recorded_at",
        "When it was written: in force from then on, until a later one about the same service.",
        required=True,
    ),
    _text("decision_id", "Id of the decision (UUIDv7), the same in every ledger it went to.", required=True),
    _text("kind", "What kind of decision it is: `order`, given by a command.", required=True),
    _text("service_id", "Service it is about, under every hook.", required=True),
    _text("decision", "`stop` (vendor not asked), `shadow` (asked, not shown) or `live`.", required=True),
    _text("by_role", "Role of who decided it; a role, not a person's name.", required=True),
    _text("second_role", "Second role, which loosening needs; null where one is enough."),
    _text("why", "Why, in the words of who decided it; never shown on a card.", required=True),
    _text("plan_version", "Version of the response plan at that time; null when it could not be read."),
    _text("wrapper_version", "Version of cds-wrapper that wrote the row.", required=True),
    *CHAIN_COLUMNS,
)

# The tables whose rows are chained, each by itself.
CHAINED: Mapping[str, tuple[Column, ...]] = {
    "predictions": COLUMNS,
    "corrections": CORRECTION_COLUMNS,
    "feedback": FEEDBACK_COLUMNS,
    "decisions": DECISION_COLUMNS,
}

# What the view adds to a feedback row from the prediction it belongs to.
FEEDBACK_VIEW_COLUMNS: tuple[Column, ...] = (
    *FEEDBACK_COLUMNS,
    _real("delay_s", "Seconds from the call that produced the card to the clinician's action."),
    _text("user_key", "Pseudonym of the user who saw the card."),
    _text("unit", "Unit the card was shown in."),
)

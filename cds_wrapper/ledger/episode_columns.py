"""The columns of `episodes_v1`: one row per episode, with its index prediction and what is known of it.

A row is made anew whenever more is known: unlike a prediction it is an answer as of a day, not a record.
"""

from __future__ import annotations

from typing import Final

from cds_wrapper.ledger.columns import DEMOGRAPHIC_COLUMNS, Column, Kind

EPISODE_COLUMNS: Final[tuple[Column, ...]] = (
    Column("episode_id", Kind.TEXT, "Id of the episode: that of its index prediction.", required=True),
    Column("service_id", Kind.TEXT, "Service the predictions came from.", required=True),
    Column("model_id", Kind.TEXT, "Model that was asked.", required=True),
    Column("model_version", Kind.TEXT, "Its version; another version begins another episode.", required=True),
    Column("site", Kind.TEXT, "Site of the index prediction."),
    Column("unit", Kind.TEXT, "Unit of the index prediction."),
    Column("care_setting", Kind.TEXT, "Care setting of the index prediction."),
    Column("environment", Kind.TEXT, "`production`, `test` or `development`.", required=True),
    Column(
        "patient_key",
        Kind.TEXT,
        "Pseudonym of the patient: of the declared identifier, else of the id in the hook's context.",
        required=True,
    ),
    Column("encounter_key", Kind.TEXT, "Pseudonym of the encounter, where there is one."),
    Column(
        "predictions", Kind.INTEGER, "How many predictions with a score the episode holds.", required=True
    ),
    Column("occurred_at", Kind.TIMESTAMP, "When the index prediction was asked for.", required=True),
    Column("day", Kind.TEXT, "Its day (UTC), as `2026-07-01`.", required=True),
    Column("score", Kind.REAL, "Score of the index prediction.", required=True),
    Column("score_kind", Kind.TEXT, "`probability`, `index` or `rank`.", required=True),
    Column("threshold_id", Kind.TEXT, "Name of the threshold that flags."),
    Column("threshold", Kind.REAL, "The score from which a patient is flagged."),
    Column("flagged", Kind.BOOLEAN, "Whether the index prediction was flagged; null without a threshold."),
    Column("band", Kind.TEXT, "Name of the range the score fell into."),
    Column("outcome", Kind.TEXT, "Name of the outcome the states are about.", required=True),
    Column(
        "state",
        Kind.TEXT,
        "`event`, `no_event`, `pending` (the horizon is not over), `censored` (not seen to its end)"
        " or `unverified` (nobody looked, or nobody has reported).",
        required=True,
    ),
    Column(
        "state_reason",
        Kind.TEXT,
        "Why it is neither event nor no event: `horizon_not_over`, `follow_up_not_shown`, `not_tested`,"
        " `competing_event`, `left`, `excluded`; null for the other two.",
    ),
    Column("label", Kind.INTEGER, "1 for an event, 0 for none, null for every other state."),
    Column(
        "event_at", Kind.TIMESTAMP, "When the event was, where there is one, also before the horizon is over."
    ),
    Column(
        "due_on", Kind.TEXT, "First day after the horizon: from then on the episode is mature.", required=True
    ),
    Column("matured_on", Kind.TEXT, "`due_on` for events and no events; null for every other state."),
    Column("displayed", Kind.TEXT, "Whether the index prediction's card was shown.", required=True),
    Column("delivery", Kind.TEXT, "What became of its answer.", required=True),
    Column("disposition", Kind.TEXT, "What was done to its card."),
    Column("caveat_level", Kind.TEXT, "Caveat level of the index prediction."),
    Column(
        "action",
        Kind.TEXT,
        "`accepted` or `overridden` as the EHR reported it about a card of the prediction; else `none`.",
        required=True,
    ),
    Column("override_reason", Kind.TEXT, "Code of the override reason."),
    Column("inputs_used", Kind.INTEGER, "How many inputs the score had."),
    Column("inputs_missing", Kind.INTEGER, "How many it was calculated without."),
    Column("inputs_doubtful", Kind.INTEGER, "How many were in doubt."),
    *DEMOGRAPHIC_COLUMNS,
    Column(
        "race_members",
        Kind.TEXT,
        "Every race on record between bars, as `|black|white|`; null where none is: for counting people of a"
        " race alone or in combination.",
    ),
    Column(
        "subgroups", Kind.JSON, "Groups of the index prediction, crossings and a site's own attributes too."
    ),
    Column("as_of", Kind.TEXT, "The day the state is an answer for.", required=True),
)
"""One row per episode of the outcome that the model was made for."""

FURTHER_COLUMNS: Final[tuple[Column, ...]] = (
    Column("episode_id", Kind.TEXT, "The episode.", required=True),
    Column("service_id", Kind.TEXT, "Its service.", required=True),
    Column("outcome", Kind.TEXT, "Name of the further outcome.", required=True),
    Column("role", Kind.TEXT, "`label` or `need`.", required=True),
    Column("kind", Kind.TEXT, "`binary`, `count` or `cost`.", required=True),
    Column(
        "state",
        Kind.TEXT,
        "As in `episodes_v1`; a count or cost that is known is `no_event` at 0.",
        required=True,
    ),
    Column(
        "value", Kind.REAL, "1 or 0, how many, or how much; null unless the state is `event` or `no_event`."
    ),
    Column("due_on", Kind.TEXT, "First day after this outcome's horizon.", required=True),
    Column("as_of", Kind.TEXT, "The day the state is an answer for.", required=True),
)
"""One row per episode and further declared outcome: `episode_outcomes_v1`."""

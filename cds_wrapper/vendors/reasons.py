"""Why a vendor's answer is not used, beyond its status: the closed list that records hold. Values only."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Reason(enum.Enum):
    """Why a score was not taken from an answer, or why no vendor was asked."""

    SCORE_NOT_FOUND = "score_not_found"
    SCORE_NOT_A_NUMBER = "score_not_a_number"
    SCORE_IS_A_CLASS = "score_is_a_class"
    SCORE_MAY_BE_PERCENT = "score_may_be_percent"
    SCORE_OUT_OF_RANGE = "score_out_of_range"
    WRONG_SHAPE = "wrong_shape"
    WRONG_OUTPUT = "wrong_output"
    FLAG_NOT_FOUND = "flag_not_found"
    NOT_JSON = "not_json"
    NOT_200 = "not_200"
    NOT_CDS_HOOKS = "not_cds_hooks"
    NOT_OPEN_INFERENCE = "not_open_inference"
    OTHER_MODEL = "other_model"
    UNKNOWN_MODEL = "unknown_model"
    INPUT_UNFIT = "input_unfit"
    IDENTIFIER_NOT_FOUND = "identifier_not_found"
    NO_SCORE_YET = "no_score_yet"
    SCORE_OF_ANOTHER_PATIENT = "score_of_another_patient"
    TIME_UNREADABLE = "time_unreadable"
    TIME_IN_THE_FUTURE = "time_in_the_future"
    WORKER_BUSY = "worker_busy"
    WORKER_NOT_READY = "worker_not_ready"
    WORKER_ENDED = "worker_ended"
    CALLABLE_RAISED = "callable_raised"

    @property
    def meaning(self) -> str:
        """What happened and what to do, for people."""
        return _MEANINGS[self]


_MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.SCORE_NOT_FOUND: "the answer holds nothing, or null, where `vendor.score` says that the score is.",
    Reason.SCORE_NOT_A_NUMBER: "null in a tensor, NaN, Infinity, text, or true or false.",
    Reason.SCORE_IS_A_CLASS: (
        "a whole 0 or 1, or a tensor of whole numbers, texts or booleans, came where a probability is"
        " declared: ask for probabilities (`predict_proba`)."
    ),
    Reason.SCORE_MAY_BE_PERCENT: (
        "more than 1 and at most 100 came where a probability is declared: should `kind` be `percent`?"
    ),
    Reason.SCORE_OUT_OF_RANGE: "a number outside `vendor.score.range`.",
    Reason.WRONG_SHAPE: (
        "another number of rows or columns than one patient's score has: `column` says which number it"
        " is, from 0; it is left out where only one comes."
    ),
    Reason.WRONG_OUTPUT: "the output that was asked for by name is not in the answer.",
    Reason.FLAG_NOT_FOUND: "the answer does not say whether something under `vendor.flags` is so.",
    Reason.NOT_JSON: "a body that is not JSON; NaN and Infinity are no JSON either.",
    Reason.NOT_200: "a status below 400 other than 200, such as a redirect; none is followed.",
    Reason.NOT_CDS_HOOKS: "a body that is no CDS Hooks answer.",
    Reason.NOT_OPEN_INFERENCE: "a body without a list of outputs as the Open Inference Protocol has it.",
    Reason.OTHER_MODEL: "the answer says that it comes from another model than was asked.",
    Reason.UNKNOWN_MODEL: "the server has no model of that name or version (404).",
    Reason.INPUT_UNFIT: (
        "an input's value cannot be sent as `datatype` says, such as text as a number; the vendor was not"
        " asked."
    ),
    Reason.IDENTIFIER_NOT_FOUND: (
        "the patient or encounter has no identifier in the system under `look_up`; the vendor was not asked."
    ),
    Reason.NO_SCORE_YET: "a vendor that scores on its own schedule has no score of this patient (404, 204).",
    Reason.SCORE_OF_ANOTHER_PATIENT: "the answer names another identifier than was asked for.",
    Reason.TIME_UNREADABLE: (
        "the score's own time is missing, lies before 2000, or is no ISO 8601 time with an offset."
    ),
    Reason.TIME_IN_THE_FUTURE: "the score's own time lies more than five minutes ahead: compare the clocks.",
    Reason.WORKER_BUSY: "another call had the callable until this one's time was over.",
    Reason.WORKER_NOT_READY: "the callable's process is starting or cannot import it.",
    Reason.WORKER_ENDED: "the callable's process ended in the middle of the call.",
    Reason.CALLABLE_RAISED: "the callable raised an exception; its text is written nowhere.",
}

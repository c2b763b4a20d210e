"""Every metric of `/metrics`, in one list; names and labels are public and stable.

Base units are seconds and bytes. A label's value comes from the hospital's files or from a closed list of
ours, never from a request: what neither knows is `other`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "cds_wrapper_"
OTHER: Final = "other"

OF_CALLS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)
"""Upper bounds for whole calls and for vendors, in seconds."""

OF_PARTS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds for what is quicker, in seconds."""

OF_BATCHES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


class Kind(enum.Enum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric: its name without the prefix, kind, labels, meaning and, for a histogram, upper bounds."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    bounds: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """The name as it stands in `/metrics` and in rules."""
        return PREFIX + self.name


_metrics: dict[str, Metric] = {}
METRICS: Mapping[str, Metric] = _metrics
"""Every metric by its name without the prefix, in the order of the page."""


def _listed(metric: Metric) -> Metric:
    assert metric.name not in _metrics, "a metric is declared once"  # noqa: S101  a mistake of ours, found at import
    _metrics[metric.name] = metric
    return metric


def _counter(name: str, labels: str, meaning: str) -> Metric:
    return _listed(Metric(name, Kind.COUNTER, tuple(labels.split()), meaning))


def _gauge(name: str, labels: str, meaning: str) -> Metric:
    return _listed(Metric(name, Kind.GAUGE, tuple(labels.split()), meaning))


def _histogram(name: str, labels: str, meaning: str, bounds: tuple[float, ...]) -> Metric:
    return _listed(Metric(name, Kind.HISTOGRAM, tuple(labels.split()), meaning, bounds))


# Calls ------------------------------------------------------------------------------------------------------

REQUESTS = _counter(
    "requests_total",
    "service hook client code",
    "Answers to hook calls, refusals included, by HTTP status; what a refused call does not tell is `other`.",
)
REQUEST_DURATION = _histogram(
    "request_duration_seconds", "service", "From a call's arrival until its record is durable.", OF_CALLS
)
STAGE_DURATION = _histogram(
    "stage_duration_seconds",
    "service stage",
    "The parts of it: `trust`, `fhir`, `vendor`, `decide` and `ledger`.",
    OF_PARTS,
)
OVERHEAD = _histogram(
    "overhead_seconds",
    "service",
    "Our own share of a call: all but vendor and FHIR server.",
    OF_PARTS,
)
BUDGET_EXCEEDED = _counter(
    "budget_exceeded_total", "service", "Calls whose record was durable later than their time budget allows."
)
ABANDONED = _counter("abandoned_total", "service", "Calls whose EHR had hung up before the answer.")
IN_FLIGHT = _gauge("in_flight_requests", "service", "Hook calls being served at this moment.")
SERVICE_STATE = _gauge("service_state", "service", "0: stopped; 1: in shadow; 2: live, by orders and plan.")
LAST_REQUEST = _gauge("last_request_timestamp_seconds", "service", "When the last recorded call was done.")

# What became of them ----------------------------------------------------------------------------------------

PREDICTIONS = _counter(
    "predictions_total",
    "service model_version status",
    "Calls recorded in time, by how they ended; a version that the plan does not name is `other`.",
)
UNRECORDED = _counter(
    "unrecorded_answers_total", "service", "Calls answered by the card that says that nothing was recorded."
)
CARDS = _counter(
    "cards_total", "service disposition", "Cards that went back, by what the plan decided for their call."
)
CAVEATS = _counter(
    "caveats_total",
    "service level in_summary",
    "Calls by the level of their caveat, and whether a card's summary carries it.",
)
DEMOGRAPHICS_MISSING = _counter(
    "demographics_missing_total",
    "service attribute reason",
    "Calls in whose record a built-in attribute of the patient is missing, and why.",
)
FEEDBACK = _counter(
    "feedback_total", "service outcome", "Feedback entries: `stored`, `repeated` or `rejected`."
)
FEEDBACK_UNMATCHED = _counter(
    "feedback_unmatched_total", "service", "Stored feedback entries about cards that we did not make."
)

# What EHRs send ---------------------------------------------------------------------------------------------

STRIPPED = _counter("stripped_requests_total", "client", "Calls that came with neither prefetch nor token.")
MISMATCH = _counter("patient_mismatch_total", "client", "Calls that brought data of another patient.")
TOKENS_REJECTED = _counter(
    "tokens_rejected_total",
    "client reason",
    "Calls from nobody we know, by whom they claimed to be, where that is an EHR of `clients.yaml`.",
)
FHIR_READS = _counter(
    "fhir_reads_total",
    "client outcome",
    "Prefetch keys looked for on the EHR's FHIR server: `read`, or why they were not.",
)

# Vendors ----------------------------------------------------------------------------------------------------

VENDOR_REQUESTS = _counter(
    "vendor_requests_total", "service outcome", "Calls for which the vendor was asked, by how they ended."
)
VENDOR_DURATION = _histogram(
    "vendor_duration_seconds",
    "service",
    "From asking the vendor until its answer came or was given up.",
    OF_CALLS,
)
VENDOR_CIRCUIT = _gauge(
    "vendor_circuit_state",
    "service",
    "0: the vendor is asked; 1: one call probes it; 2: it failed too often and is left alone for a while.",
)
VENDOR_IN_FLIGHT = _gauge("vendor_in_flight", "service", "Calls that wait for the vendor at this moment.")

# Records ----------------------------------------------------------------------------------------------------

LEDGER_APPEND = _histogram(
    "ledger_append_duration_seconds", "", "A record's wait until it was durable, sync included.", OF_PARTS
)
LEDGER_BATCH = _histogram("ledger_batch_records", "", "Predictions in one transaction.", OF_BATCHES)
LEDGER_QUEUE = _gauge("ledger_queue_depth", "", "Pieces of work that wait for the ledger or the spool.")
LEDGER_AVAILABLE = _gauge("ledger_available", "", "1 while the ledger can be written in time, else 0.")
LEDGER_FREE = _gauge("ledger_free_bytes", "", "Room left for us on the disk of the ledger.")
SPOOL_AVAILABLE = _gauge("spool_available", "", "1 while the spool could stand in for the ledger, else 0.")
SPOOL_RECORDS = _gauge("spool_records", "", "Pieces of work in the spool and not in the ledger yet.")
SPOOL_OLDEST = _gauge(
    "spool_oldest_timestamp_seconds", "", "When the oldest of them was written; no sample when there is none."
)
RECORDS = _counter(
    "records_total",
    "service outcome",
    "Predictions that came into the ledger: `returned` in time, or `late`, when another card had gone out.",
)
RECORDS_LOST = _counter(
    "records_lost_total", "", "Lines of the spool that were damaged or missing: must stay 0."
)
STREAM_LAG = _gauge(
    "stream_lag_rows", "", "Rows of the ledger that the prediction stream has not written yet."
)

# What is in force -------------------------------------------------------------------------------------------

EVIDENCE_PUBLISHED = _gauge(
    "evidence_published_timestamp_seconds", "service", "The day of the edition of evidence in force."
)
FINDINGS_OPEN = _gauge("findings_open", "service", "Findings of reviews that nobody has closed.")
REVIEW_SUCCESS = _gauge(
    "review_success_timestamp_seconds",
    "service",
    "When the last `review` was recorded; no sample before the first.",
)
OUTCOMES_IMPORTED = _gauge(
    "outcomes_imported_timestamp_seconds",
    "service",
    "When outcomes were last imported beside this ledger; no sample before the first time.",
)
MONITORING_DUE = _gauge(
    "monitoring_due_timestamp_seconds",
    "service work owner",
    "When it is overdue: twice the plan's time after the last `review`, import of `outcomes` or edition of"
    " `evidence`; `owner` is the role that the plan names.",
)
CONFIGURATION = _gauge(
    "configuration_in_force",
    "digest",
    "1, with a digest of the hospital's files: the same in every replica.",
)
BUILD = _gauge("build", "version", "1, with the version of the wrapper.")
KEY_EXPIRY = _gauge(
    "key_expiry_timestamp_seconds",
    "peer",
    "When the certificate that we show to the vendor of this service ends.",
)

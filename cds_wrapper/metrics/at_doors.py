"""What the doors add to the counts: refusals, and what became of feedback."""

from __future__ import annotations

from collections.abc import Sequence

from cds_wrapper.errors import NotAuthenticated, WrapperError
from cds_wrapper.ledger.work import FeedbackReceipt
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.metrics.table import FEEDBACK, FEEDBACK_UNMATCHED, OTHER, TOKENS_REJECTED
from cds_wrapper.services import ServiceDefinition


def count_refusal(
    metrics: Metrics,
    error: WrapperError,
    client: str | None,
    called: Sequence[ServiceDefinition] | None,
) -> None:
    """`called` are the services of a hook call's address, None for a call of another kind.

    `client` is whom we know or the caller claimed to be. A hook is told where it can be but one.
    """
    if isinstance(error, NotAuthenticated):
        metrics.count(TOKENS_REJECTED, client or OTHER, error.why)
    if called is not None:
        service = called[0].id if called else OTHER
        hook = called[0].hook if len(called) == 1 else OTHER
        metrics.answered(service, hook, client or OTHER, error.http_status)


def count_feedback(metrics: Metrics, service: str, receipt: FeedbackReceipt, rejected: int) -> None:
    """Entries of one feedback call; `rejected` of them could not be read."""
    became = {"stored": receipt.stored, "repeated": receipt.repeated, "rejected": rejected}
    for outcome, entries in became.items():
        metrics.count(FEEDBACK, service, outcome, by=entries)
    metrics.count(FEEDBACK_UNMATCHED, service, by=receipt.unmatched)

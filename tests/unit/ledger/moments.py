"""The day on which tests of outcomes import, and days that are covered."""

from __future__ import annotations

from datetime import UTC, date, datetime

from cds_wrapper.ledger.outcomes import FollowUp

NOW = datetime(2026, 6, 30, tzinfo=UTC)
JANUARY = FollowUp(date(2026, 1, 1), date(2026, 2, 1))

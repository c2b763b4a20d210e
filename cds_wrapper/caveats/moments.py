"""Times and lengths of time as a card says them, in the service's time zone and never the machine's. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cds_wrapper.caveats.texts import Terms, fill

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock on the ward's wall; without a zone it is UTC, and says so."""

    terms: Terms
    zone: tzinfo | None = None

    def moment(self, at: datetime) -> str:
        """`09:59 on 30 September 2026`, always with the year: a score can be an old one."""
        there = at.astimezone(self.zone or UTC)
        clock = f"{there:%H:%M}" if self.zone else f"{there:%H:%M} UTC"
        return fill(
            self.terms.moment, {"clock": clock, "day": f"{there.day} {self.terms.month(there.date())}"}
        )

    def span(self, length: timedelta) -> str:
        """`90 minutes`, `24 hours`, `3 days`: the largest unit that leaves no rest; one day is 24 hours."""
        terms = self.terms
        if length >= 2 * _DAY and not length % _DAY:
            one, many, unit = *terms.days, _DAY
        elif length >= _HOUR and not length % _HOUR:
            one, many, unit = *terms.hours, _HOUR
        else:
            one, many, unit = *terms.minutes, _MINUTE
        number = max(1, round(length / unit))
        return fill(one if number == 1 else many, {"n": f"{number:,}"})

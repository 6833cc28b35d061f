"""How far our clock is from the gateway's."""

from __future__ import annotations

from datetime import datetime, timedelta

WHOLE_SECOND = timedelta(seconds=1)


def clock_skew(told: datetime, asked: datetime, heard: datetime) -> float:
    """Seconds by which our clock is surely ahead of the gateway's; negative when behind, 0 when nothing proves a difference.

    `told` is the gateway's answer, cut to whole seconds, given at a moment between `asked` and `heard` by our clock.
    """
    if asked > told + WHOLE_SECOND:
        return (asked - told - WHOLE_SECOND).total_seconds()
    return min((heard - told).total_seconds(), 0.0)

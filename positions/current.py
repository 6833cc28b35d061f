"""What is not over yet: positions that are not closed, orders that may still trade. The few among the many of all years.

Each has a partial index of its own. A planner takes it only where the condition stands in the statement as it stands in the
index, as text: with parameters SQLite would read every position and every order there ever was.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet, Value

from events.position import PositionStatus
from positions.models import OrderRecord, PositionRecord
from positions.orders import LIVE_WORDS


class Constant(Value):
    """A word of ours, written into the statement."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[()]]:
        if not (isinstance(self.value, str) and self.value.replace("_", "a").isalpha()):
            raise ValueError(f"{self.value!r} is no plain word")
        return f"'{self.value}'", ()


NOT_CLOSED = ~Q(status=Constant(PositionStatus.CLOSED.value))
LIVING = Q(state__in=[Constant(word) for word in LIVE_WORDS])


def current_positions(account: str) -> QuerySet[PositionRecord]:
    """Every position of the account that is not closed, planned ones too."""
    return PositionRecord.objects.filter(NOT_CLOSED, account=account)


def living_orders(account: str) -> QuerySet[OrderRecord]:
    """Every order of the account that is not finished."""
    return OrderRecord.objects.filter(LIVING, account=account)

"""What every page's frame shows: mode, role, trading state, how many signals wait.

Upper floors tell what they know by `provide()`, because events may not import them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from events.clock import utc_now
from events.health import newest_lease, said_by
from events.roles import can

log = logging.getLogger(__name__)

_providers: dict[str, Callable[[], Any]] = {}  # template variable → what gives its value


def provide(name: str, provider: Callable[[], Any]) -> None:
    """Have templates see `provider()` as `name`: "trading_state" ({"state","reason"}) or "pending_count"."""
    _providers[name] = provider


def desk(request: HttpRequest) -> dict[str, Any]:
    """The template context processor. Never raises: a page that says what is wrong beats no page."""
    context: dict[str, Any] = {"mode": settings.TRADING_MODE, "can_trade": False, "can_halt": False, "pending_count": 0}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return context
    try:
        health = said_by(newest_lease(), utc_now())
        context["trading_state"] = health["trading"]
        context["can_trade"] = context["can_halt"] = can(user, "trade")
        context["can_resume"] = can(user, "resume")
        context |= {name: provider() for name, provider in _providers.items()}
    except Exception:
        log.exception("the page frame could not be read")
    return context

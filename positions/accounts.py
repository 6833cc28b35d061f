"""Whose books a page shows and a query counts. Every figure is of one account; a query without an account is a defect.

The worker trades one account and writes down which. Pages show that one, unless a person chose to look at another: then they
are read-only, say so, and do not move.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from events.accounts import SIMULATED_ACCOUNT, masked
from events.clock import utc_now
from positions.models import TradedAccount

log = logging.getLogger(__name__)

CHOICE = "account"  # of the session: the account a person looks at instead of the traded one


def traded_account() -> str:
    """The account the worker trades: IB_ACCOUNT, or the one the gateway last answered for in this mode; "" before the first."""
    if settings.IB_ACCOUNT:
        return str(settings.IB_ACCOUNT)
    if settings.TRADING_MODE == "simulated":
        return SIMULATED_ACCOUNT
    mine = TradedAccount.objects.filter(mode=settings.TRADING_MODE)
    return mine.order_by("-last_at").values_list("account", flat=True).first() or ""


def shown_account(request: HttpRequest) -> str:
    """The account whose books this request is answered from. Read once for each request."""
    found = getattr(request, "_shown_account", None)
    if found is None:
        found = _chosen(request) or traded_account()
        request._shown_account = found  # type: ignore[attr-defined]
    return str(found)


def _chosen(request: HttpRequest) -> str:
    session = getattr(request, "session", None)
    return str(session.get(CHOICE, "")) if session is not None else ""


class OnlyLookedAt(Exception):
    """A person asked for something while looking at an account that is not traded. The message says what to do."""


def acting_account(request: HttpRequest) -> str:
    """The account a wish of this request is for: the traded one. Raises OnlyLookedAt while another is looked at."""
    shown, traded = shown_account(request), traded_account()
    if shown != traded:
        raise OnlyLookedAt(
            f"You are looking at account {masked(shown)}, which is not traded now. Nothing was sent. "
            "Choose the traded account in the menu first."
        )
    return traded


def mark_of(account: str) -> str:
    """What a form says instead of the account: no page carries a whole account number."""
    return hashlib.sha256(account.encode()).hexdigest()[:16]


def choose(request: HttpRequest, mark: str) -> str | None:
    """Look at the account of this mark from now on; returns it, None when it is none of ours. The traded one ends looking at others."""
    for account in TradedAccount.objects.values_list("account", flat=True):
        if mark_of(account) == mark:
            if account == traded_account():
                request.session.pop(CHOICE, None)
            else:
                request.session[CHOICE] = account
            return str(account)
    return None


def account_frame(request: HttpRequest) -> dict[str, Any]:
    """The template context processor: the account shown, whether it is only looked at (then nothing can be traded on the page;
    halting stays), and those one may look at. Never raises: a page that says what is wrong beats no page."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"account_masked": ""}
    try:
        return _frame(request)
    except Exception:
        log.exception("the account of the page could not be read")
        return {"account_masked": ""}


def _frame(request: HttpRequest) -> dict[str, Any]:
    shown, traded = shown_account(request), traded_account()
    rows = TradedAccount.objects.order_by("-last_at").values("account", "mode")
    choices = [
        {"mark": mark_of(row["account"]), "shown": row["account"] == shown, "label": f"{row['mode']} {masked(row['account'])}"}
        for row in rows
    ]
    frame: dict[str, Any] = {"account_masked": masked(shown), "account_choices": choices if len(choices) > 1 or shown != traded else []}
    frame |= {"account_traded_masked": masked(traded), "account_only_looked_at": shown != traded}
    return frame | ({"can_trade": False, "can_resume": False} if shown != traded else {})


def note_traded(fence: Callable[[], None], account: str, mode: str, epoch: int) -> None:
    """The gateway answered for this account, and this mode may trade it. Only the worker calls this."""
    now = utc_now()
    made = {"first_at": now, "mode": mode, "last_at": now, "epoch": epoch}
    with transaction.atomic():
        fence()
        TradedAccount.objects.update_or_create(
            account=account, defaults={"mode": mode, "last_at": now, "epoch": epoch}, create_defaults=made
        )

"""Who may do what. One table of verbs; pages hide what it forbids and the server refuses it as well.

Roles are groups made by a migration: viewer sees, trader acts, admin (staff) also undoes a halt and sets limits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

TRADER = "trader"
ADMIN = "admin"
VIEWER = "viewer"

TRADER_VERBS = frozenset({"approve", "reject", "close", "cancel", "change", "halt", "trade"})
ADMIN_VERBS = frozenset({"resume", "flatten", "limits"})

View = Callable[..., HttpResponseBase]


def can(user: Any, verb: str) -> bool:
    """May `user` do `verb` ("view", one of TRADER_VERBS or ADMIN_VERBS)? Nobody may do an unknown verb."""
    if not (user.is_authenticated and user.is_active):
        return False
    if verb == "view" or user.is_superuser:
        return True
    groups = _groups_of(user)
    if verb in TRADER_VERBS:
        return bool(groups & {TRADER, ADMIN})
    return verb in ADMIN_VERBS and user.is_staff and ADMIN in groups


def _groups_of(user: Any) -> frozenset[str]:
    """The user's group names, read once per request's user object."""
    known: frozenset[str] | None = getattr(user, "_desk_groups", None)
    if known is None:
        known = user._desk_groups = frozenset(user.groups.values_list("name", flat=True))
    return known


def requires(verb: str) -> Callable[[View], View]:
    """A view that only those who may do `verb` reach; the others get the 403 page."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not can(request.user, verb):
                raise PermissionDenied(f"Your role does not allow you to {verb}.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


trader_required = requires("trade")
admin_required = requires("resume")

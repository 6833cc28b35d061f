"""The password once more before an act that raises risk: approving, adding, releasing a halt, flattening all, editing limits.

Always in live mode, elsewhere by the setting STEP_UP. How long ago the password was typed stands in the session. A form that
comes too late is answered with a page (or, to a script, a 403 with code "step_up") that asks for the password and sends the
very same fields again together with it, so nothing of the wish is lost. Halting, closing, cancelling and tightening a stop
never ask.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from events.clock import utc_now

TYPED_AT = "password_typed_at"  # session: seconds since the epoch
FIELD = "step_up_password"
CONTROL_MINUTES = 5


class Act(StrEnum):
    """What is about to happen; each has its own longest time since the password."""

    APPROVE = "approve"
    CONTROL = "control"


def remember(request: HttpRequest) -> None:
    """The person of this session has just typed their password."""
    request.session[TYPED_AT] = utc_now().timestamp()


def is_fresh(request: HttpRequest, act: Act) -> bool:
    """Whether `act` may go on without asking."""
    if not settings.STEP_UP:
        return True
    minutes = settings.STEP_UP_APPROVE_MINUTES if act is Act.APPROVE else CONTROL_MINUTES
    typed = request.session.get(TYPED_AT)
    return isinstance(typed, (int, float)) and 0 <= utc_now().timestamp() - typed < minutes * 60


def typed_now(request: HttpRequest) -> bool:
    """Whether the form carries the right password of the person who is logged in; wrong ones count against the lock-out."""
    given = request.POST.get(FIELD, "")
    request.sensitive_post_parameters = [FIELD]  # type: ignore[attr-defined]  # Django's error reports leave it out
    if not given:
        return False
    found = authenticate(request, username=request.user.get_username(), password=given)
    if found is None or found.pk != request.user.pk:
        return False
    remember(request)
    return True


def step_up(request: HttpRequest, act: Act) -> HttpResponse | None:
    """None when `act` may go on; else the answer that asks for the password. Nothing has happened then."""
    if is_fresh(request, act) or (request.method == "POST" and typed_now(request)):
        return None
    page = f"{reverse('confirm_person')}?{urlencode({'next': request.get_full_path()})}"
    if request.method != "POST":
        return HttpResponseRedirect(page)
    wrong = FIELD in request.POST
    said = "That is not your password. Nothing was sent." if wrong else "Type your password to go on. Nothing was sent yet."
    if request.accepts("application/json") and not request.accepts("text/html"):
        return JsonResponse({"error": said, "code": "step_up", "confirm": reverse("confirm_person"), "field": FIELD}, status=403)
    kept = [(name, value) for name, values in request.POST.lists() for value in values if name not in (FIELD, "csrfmiddlewaretoken")]
    context = {"to": request.get_full_path(), "kept": kept, "field": FIELD, "wrong": wrong}
    return render(request, "registration/confirm.html", context, status=403)


View = Callable[..., HttpResponseBase]


def steps_up(act: Act) -> Callable[[View], View]:
    """A view that asks for the password first when it was typed too long ago. Stands below the role's decorator."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return step_up(request, act) or view(request, *args, **kwargs)

        return guarded

    return decorate

"""Coming in, going out, and typing the password once more."""

from __future__ import annotations

import logging
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UsernameField
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from events.feed import recheck_sockets
from events.step_up import FIELD, remember, typed_now

log = logging.getLogger(__name__)


class LogInForm(AuthenticationForm):
    """Refuses a name longer than any user's before it is tried: a failed try is written down, and PostgreSQL keeps to the column."""

    username = UsernameField(max_length=150, widget=forms.TextInput(attrs={"autofocus": True}))


class LogIn(LoginView):
    """Remembers when the password was typed, for the acts that ask for it again after some minutes."""

    authentication_form = LogInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        remember(self.request)
        return answer


@method_decorator(login_not_required, name="dispatch")
class FirstPassword(PasswordResetConfirmView):
    """Where the link of a first start leads: choose a password, then log in with it. The link is void from then on."""

    template_name = "registration/first_password.html"
    success_url = reverse_lazy("login")


class ChangePasswordForm(PasswordChangeForm):
    """Tries the old password as a log-in would: wrong ones count against the lock-out."""

    def __init__(self, *args: Any, request: HttpRequest, **more: Any) -> None:
        super().__init__(*args, **more)
        self.request = request

    def clean_old_password(self) -> str:
        old = str(self.cleaned_data["old_password"])
        if authenticate(self.request, username=self.user.get_username(), password=old) != self.user:
            raise forms.ValidationError("That is not your password. Nothing was changed.")
        return old


class ChangePassword(PasswordChangeView):
    """One's own password, for every role. Other sessions of this person end, and their live sockets; this one goes on."""

    form_class = ChangePasswordForm
    template_name = "registration/change_password.html"
    success_url = reverse_lazy("overview")

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        remember(self.request)
        recheck_sockets(form.user.pk)
        log.info("%s changed their password", self.request.user.get_username())
        messages.success(self.request, "Your password is changed. Your other sessions have ended.")
        return answer


class LogOut(LogoutView):
    """Ends the session, and with it the live sockets of this user; Django takes POST only."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user_id = request.user.pk
        answer = super().post(request, *args, **kwargs)
        if user_id is not None:
            recheck_sockets(user_id)
        answer.headers["Clear-Site-Data"] = '"cache"'  # what this browser kept of the pages goes too
        return answer


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def confirm_person(request: HttpRequest) -> HttpResponse:
    """Ask for the password, then go back to where the person was: never to another host, never with another method."""
    after = request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(after, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    after = after if safe else reverse("overview")
    wrong = False
    if request.method == "POST":
        if typed_now(request):
            return redirect(after)
        wrong = True
    context = {"to": request.get_full_path(), "kept": [], "field": FIELD, "wrong": wrong}
    return render(request, "registration/confirm.html", context, status=403 if wrong else 200)

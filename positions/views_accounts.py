"""Looking at the books of another account than the traded one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from positions.accounts import choose
from positions.forms import NO_ACCOUNT, AccountForm
from positions.wishes import first_error


@require_POST
def account_choice(request: HttpRequest) -> HttpResponse:
    """Show the books of the account named, read-only unless it is the traded one."""
    form = AccountForm(request.POST)
    if not form.is_valid():
        messages.error(request, first_error(form))
    elif choose(request, form.cleaned_data["account"]) is None:
        messages.error(request, NO_ACCOUNT)
    return redirect("overview")

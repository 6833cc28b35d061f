"""Looking at the books of another account than the traded one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from events.accounts import masked
from positions.accounts import choose, traded_account


@require_POST
def account_choice(request: HttpRequest) -> HttpResponse:
    """Show the books of the account named, read-only unless it is the traded one."""
    account = choose(request, request.POST.get("account", ""))
    if account is None:
        messages.error(request, "This desk has never traded such an account.")
    elif account != traded_account():
        messages.info(request, f"You are looking at {masked(account)}: nothing can be traded here, and the figures stand still.")
    return redirect("overview")

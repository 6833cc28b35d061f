"""Looking at the books of another account than the traded one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from positions.accounts import choose


@require_POST
def account_choice(request: HttpRequest) -> HttpResponse:
    """Show the books of the account named, read-only unless it is the traded one."""
    if choose(request, request.POST.get("account", "")) is None:
        messages.error(request, "This desk has never traded such an account.")
    return redirect("overview")

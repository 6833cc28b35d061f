"""The admin's name, its users page, and its one front door: our own log-in, with its lock-out.

An admin manages users and roles but cannot make itself, or anybody, more than an admin: only a superuser sets superuser
and single permissions, and only a superuser edits one.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from events.admin_step_up import StepUpAdmin

admin.site.site_header = "Desk admin"
admin.site.site_title = "Admin"
admin.site.index_title = "Admin"


@login_not_required
def front_door(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Takes the place of the admin's own log-in form: everybody logs in at the same door."""
    wanted = request.GET.get("next", "")
    if not request.user.is_authenticated:
        return redirect_to_login(wanted if wanted.startswith("/admin/") else "/admin/")
    if not admin.site.has_permission(request):
        raise PermissionDenied("The admin is for the desk's admins.")
    return redirect("admin:index")


def own_password(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Everybody changes their own password on the same page, with the old one."""
    return redirect("password_change")


admin.site.login = front_door  # type: ignore[method-assign]
admin.site.password_change = own_password  # type: ignore[method-assign, assignment]
admin.site.unregister([User, Group])

FOR_SUPERUSERS = ("is_superuser", "user_permissions")


@admin.register(Group)
class DeskGroupAdmin(StepUpAdmin, GroupAdmin):
    """Roles, and what each may do."""


@admin.register(User)
class DeskUserAdmin(StepUpAdmin, UserAdmin):
    list_display = ("username", "roles", "is_staff", "is_active", "last_login")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "viewer"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fixed = (*super().get_readonly_fields(request, obj), "last_login", "date_joined")
        return fixed if getattr(request.user, "is_superuser", False) else (*fixed, *FOR_SUPERUSERS)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Another person's password. One's own needs the old one, also for an admin."""
        if str(getattr(request.user, "pk", "")) == id:
            return redirect("password_change")
        return self.asks(request) or super().user_change_password(request, id, form_url)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not getattr(request.user, "is_superuser", False):
            return False
        return super().has_change_permission(request, obj)

"""Protection in the admin: the rule and the defaults are edited here, tasks are read here and ended on their page."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from events.admin_lists import IndexedValues, by_date
from events.admin_pages import ReadOnlyAdmin
from events.admin_step_up import StepUpAdmin
from positions.admin_accounts import OfTheShownAccount
from positions.models import OperatorTask, ProtectionSettings


@admin.register(ProtectionSettings)
class ProtectionSettingsAdmin(StepUpAdmin):
    """One row; the worker reads it again every five seconds."""

    list_display = ("__str__", "when_refused", "trailing", "trailing_value", "break_even_r", "close_after_minutes", "close_at_session_end")
    readonly_fields = ("updated_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not ProtectionSettings.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(OperatorTask)
class OperatorTaskAdmin(OfTheShownAccount, ReadOnlyAdmin):
    """Read only: the worker opens a task, a person ends it on the tasks page."""

    list_display = ("opened_at", "state", "kind", "symbol", "title", "done_by", "done_at")
    list_filter = ("state", ("kind", IndexedValues), ("symbol", IndexedValues), by_date("opened_at"))
    search_fields = ("symbol", "position_id")
    sorted_by = ("opened_at", "state", "kind", "symbol")

"""The journal, the inbox and the lease in the admin: to look at. Nobody writes them by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from events.models import CommandRecord, EventRecord, WorkerLease


class ReadOnlyAdmin(admin.ModelAdmin):
    """Pages to read and search; no add, no save, no delete, no bulk action."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(EventRecord)
class EventRecordAdmin(ReadOnlyAdmin):
    list_display = ("seq", "timestamp", "event_type", "symbol", "source", "signal_id", "order_id", "position_id")
    list_filter = ("event_type", "source")
    search_fields = ("symbol", "event_id", "signal_id", "order_id", "position_id")
    show_full_result_count = False
    list_per_page = 50


@admin.register(CommandRecord)
class CommandRecordAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "name", "state", "code", "reason", "created_by", "signal_id", "order_id", "position_id")
    list_filter = ("state", "name")
    search_fields = ("signal_id", "order_id", "position_id", "key")
    list_select_related = ("created_by",)
    list_per_page = 50


@admin.register(WorkerLease)
class WorkerLeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "epoch", "state", "host", "pid", "started_at", "heartbeat_at")

"""The journal, the inbox and the lease in the admin: to look at. Nobody writes them by hand."""

from __future__ import annotations

from django.contrib import admin

from events.admin_lists import IndexedValues, by_date
from events.admin_pages import ReadOnlyAdmin
from events.models import CommandRecord, EventRecord, LongWork, WorkerLease
from events.tape import tape_text


@admin.register(EventRecord)
class EventRecordAdmin(ReadOnlyAdmin):
    list_display = ("seq", "timestamp", "event_type", "symbol", "told", "signal_id", "order_id", "position_id")
    list_filter = (("event_type", IndexedValues),)
    search_fields = ("symbol", "event_id", "signal_id", "order_id", "position_id")
    sorted_by = ("seq",)

    @admin.display(description="Told")
    def told(self, record: EventRecord) -> str:
        return tape_text(record.data)


@admin.register(CommandRecord)
class CommandRecordAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "name", "state", "code", "reason", "created_by", "signal_id", "order_id", "position_id")
    list_filter = ("state", ("name", IndexedValues), by_date("created_at"))
    search_fields = ("signal_id", "order_id", "position_id", "key")
    list_select_related = ("created_by",)
    sorted_by = ("id", "created_at")


@admin.register(WorkerLease)
class WorkerLeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "epoch", "state", "host", "pid", "started_at", "heartbeat_at")


@admin.register(LongWork)
class LongWorkAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "claimed_by", "started_at", "heartbeat_at", "progress", "finished_at", "outcome")

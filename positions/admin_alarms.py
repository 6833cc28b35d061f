"""Alarms and error trades in the admin: read only, both have their pages."""

from __future__ import annotations

from django.contrib import admin

from events.admin_lists import IndexedValues, by_date
from events.admin_pages import ReadOnlyAdmin
from positions.admin_accounts import OfTheShownAccount
from positions.models import AlarmRecord, ErrorTrade


@admin.register(AlarmRecord)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = ("first_seen", "kind", "about", "text", "ended_at", "acknowledged_by", "acknowledged_at", "note")
    list_filter = (("kind", IndexedValues), by_date("first_seen"))
    search_fields = ("kind", "about", "acknowledged_by")
    sorted_by = ("first_seen", "kind", "about", "ended_at")


@admin.register(ErrorTrade)
class ErrorTradeAdmin(OfTheShownAccount, ReadOnlyAdmin):
    list_display = ("marked_at", "symbol", "source", "note", "marked_by", "settled_at", "settled_by", "outcome")
    list_filter = (by_date("marked_at"),)
    search_fields = ("symbol", "position_id")
    sorted_by = ("marked_at", "symbol")

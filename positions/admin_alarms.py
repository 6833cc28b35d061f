"""Alarms and error trades in the admin: read only, both have their pages."""

from __future__ import annotations

from django.contrib import admin

from positions.admin_risk import OnlyLooks
from positions.models import AlarmRecord, ErrorTrade


@admin.register(AlarmRecord)
class AlarmAdmin(OnlyLooks):
    list_display = ("first_seen", "kind", "about", "text", "ended_at", "acknowledged_by", "acknowledged_at", "note")
    list_filter = ("kind",)
    search_fields = ("about", "text", "note")
    date_hierarchy = "first_seen"


@admin.register(ErrorTrade)
class ErrorTradeAdmin(OnlyLooks):
    list_display = ("marked_at", "symbol", "source", "note", "marked_by", "settled_at", "settled_by", "outcome")
    search_fields = ("symbol", "note", "outcome", "position_id")
    date_hierarchy = "marked_at"

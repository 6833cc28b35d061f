"""Limits, locks and limit changes in the admin. Every edit of a limit needs a reason and is kept with before and after."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from events.admin_lists import IndexedValues, by_date
from events.admin_pages import ReadOnlyAdmin, cells
from events.admin_step_up import StepUpAdmin
from events.clock import utc_now
from events.roles import can
from events.symbols import canonical_symbol
from positions import limit_changes
from positions.admin_accounts import OfTheShownAccount
from positions.models import LimitChange, MarginAnswer, RiskLimits, RiskLock, ScopedLimitRecord

MUST_BE_POSITIVE = ("price_collar_pct", "quote_max_age_seconds", "max_margin_pct", "margin_max_age_seconds", "daily_loss_limit",
                    "weekly_loss_limit", "repeat_window_seconds")  # fmt: skip


class ReasonForm(forms.ModelForm):
    """`change_reason` is asked for with every edit."""

    change_reason = forms.CharField(max_length=300, help_text="Why it is changed; kept with the values before and after.")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in MUST_BE_POSITIVE:
            value = cleaned.get(name)
            if value is not None and value <= 0:
                self.add_error(name, "It must be above zero.")
        return cleaned


class SymbolOrName(ReasonForm):
    """Symbols are written in capitals, and a limit that limits nothing is a mistake."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("scope") == ScopedLimitRecord.Scope.SYMBOL and cleaned.get("name"):
            cleaned["name"] = canonical_symbol(cleaned["name"])
        if not self.errors and all(cleaned.get(name) is None for name in cleaned if name.startswith("max_")):
            raise forms.ValidationError("Set at least one limit.")
        return cleaned


class KeptLimitAdmin(StepUpAdmin):
    """Saves a limit together with the memory of its change; only those who may set limits get this far."""

    form = ReasonForm

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and can(request.user, "limits")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and can(request.user, "limits")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and can(request.user, "limits")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with transaction.atomic():
            before = limit_changes.values_of(type(obj).objects.filter(pk=obj.pk).first() if change else None)
            super().save_model(request, obj, form, change)
            self._note(request, obj, before, limit_changes.values_of(obj), form.cleaned_data["change_reason"])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            before = limit_changes.values_of(obj)
            whose = obj
            self._note(request, whose, before, {}, "deleted")
            super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}  # deleting many at once would leave no memory of each

    def _note(self, request: HttpRequest, obj: Any, before: dict[str, str], after: dict[str, str], reason: str) -> None:
        limit_changes.note(str(obj), before, after, by=request.user.get_username(), reason=reason)


@admin.register(RiskLimits)
class RiskLimitsAdmin(KeptLimitAdmin):
    """One row; the worker reads it again every two seconds and before every entry."""

    list_display = (
        "__str__",
        *cells(RiskLimits, "max_order_quantity", "max_order_notional", "max_open_positions", "max_open_risk", "daily_loss_limit"),
    )
    readonly_fields = ("updated_at",)
    fieldsets = (
        (None, {"fields": ("change_reason", "updated_at")}),
        ("One order", {"fields": ("max_order_quantity", "max_order_notional", "price_collar_pct", "quote_max_age_seconds",
                                  "restricted_symbols")}),
        ("What is held and works", {"fields": ("max_position_notional", "max_symbol_risk", "max_open_positions", "max_open_risk",
                                               "max_working_orders")}),
        ("Pace", {"fields": ("max_day_entries", "max_day_notional", "duplicate_window_seconds", "repeat_window_seconds",
                             "max_symbol_repeats", "max_source_repeats", "no_entry_before_close_minutes")}),
        ("Losses", {"fields": ("daily_loss_limit", "weekly_loss_limit", "losing_streak", "symbol_losing_streak", "streak_lock_minutes",
                               "max_drawdown_pct")}),
        ("Margin", {"fields": ("require_margin", "max_margin_pct", "margin_max_age_seconds")}),
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not RiskLimits.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ScopedLimitRecord)
class ScopedLimitAdmin(KeptLimitAdmin):
    form = SymbolOrName
    list_display = cells(
        ScopedLimitRecord, "scope", "name", "max_order_quantity", "max_order_notional", "max_position_notional", "max_open_risk",
        "max_day_entries", "max_day_notional", "updated_at",
    )  # fmt: skip
    list_filter = ("scope",)
    search_fields = ("name",)


@admin.register(LimitChange)
class LimitChangeAdmin(ReadOnlyAdmin):
    list_display = ("at", "changed_by", "limit", "field", "old", "new", "reason")
    list_filter = (("field", IndexedValues), ("changed_by", IndexedValues), by_date("at"))
    search_fields = ("limit", "field")
    sorted_by = ("at", "changed_by", "limit", "field")


@admin.register(RiskLock)
class RiskLockAdmin(OfTheShownAccount, ReadOnlyAdmin):
    """Cleared on the trading page, with a reason."""

    list_display = ("since", "code", "scope", "name", "reason", "until", "active", "cleared_by", "clear_reason")
    list_filter = (("code", IndexedValues), ("scope", IndexedValues), by_date("since"))
    search_fields = ("name", "cause")
    sorted_by = ("since", "code", "name", "until")

    @admin.display(boolean=True)
    def active(self, lock: RiskLock) -> bool:
        return lock.cleared_at is None and (lock.until is None or lock.until > utc_now())


@admin.register(MarginAnswer)
class MarginAnswerAdmin(ReadOnlyAdmin):
    list_display = ("asked_at", "signal_id", "error")
    search_fields = ("signal_id",)

"""The admin of the signals app: people edit the watch list and the settings; everything else is there to be read."""

from __future__ import annotations

from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from events.admin_lists import IndexedValues, by_date, one_of
from events.admin_pages import ReadOnlyAdmin
from events.admin_step_up import StepUpAdmin
from events.forms import SymbolField
from events.health import newest_lease
from events.symbols import canonical_symbol, is_symbol
from signals import at_broker
from signals.coverage import coverage
from signals.models import FlowPoint, PredictionRecord, SignalRecord, SignalSettings, SourceHealth, WatchListEntry


class WarnsBeyondTheBudget(StepUpAdmin):
    """Says so when an edit leaves a watch list that is longer than the request budget allows."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        return _warned(request, super().changeform_view(request, object_id, form_url, extra_context))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return _warned(request, super().changelist_view(request, extra_context))


def _warned(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Once for each edit: what was saved is answered by a redirect."""
    if request.method == "POST" and response.status_code == 302 and (text := coverage().beyond()):
        messages.warning(request, text)
    return response


class WatchListForm(forms.ModelForm):
    """`at_broker` is what IB said of the symbol when the form was sent."""

    at_broker: at_broker.Answer | None = None
    symbol = SymbolField()

    def clean_symbol(self) -> str:
        symbol = str(self.cleaned_data["symbol"])
        if self.at_broker is not None and self.at_broker.refused:
            raise forms.ValidationError(self.at_broker.words)
        return symbol


@admin.register(WatchListEntry)
class WatchListAdmin(WarnsBeyondTheBudget):
    form = WatchListForm
    list_display = ["symbol", "enabled", "threshold", "allow_short", "poll_seconds", "health", "note"]
    list_editable = ["enabled", "threshold", "allow_short", "poll_seconds"]
    list_filter = ["enabled", "allow_short"]
    search_fields = ["symbol", "note"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchListEntry]:
        polled = SourceHealth.objects.filter(ticker=OuterRef("symbol"))
        told = {"polling": Subquery(polled.values("state")), "polling_error": Subquery(polled.values("last_error"))}
        return super().get_queryset(request).annotate(**told)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """IB is asked before the form's transaction begins: the worker reads only what is committed."""
        if (asked := self.asks(request)) is not None:
            return asked
        symbol = canonical_symbol(request.POST.get("symbol", ""))
        if request.method == "POST" and self.has_change_permission(request) and is_symbol(symbol):
            request.at_broker = at_broker.ask(symbol, request.user)  # type: ignore[attr-defined]
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        return type(made.__name__, (made,), {"at_broker": getattr(request, "at_broker", None)})

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """What IB says of each symbol stands beside it; the worker's word is read once for all rows."""
        lease = cache(newest_lease)

        @admin.display(description="at IB")
        def at_ib(entry: WatchListEntry) -> str:
            return at_broker.words_of(entry.symbol, lease())

        symbol, *others = super().get_list_display(request)
        return [symbol, at_ib, *others]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list says how it is covered."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            response.context_data["covered"] = coverage()
        return response

    @admin.display(description="polling")
    def health(self, entry: Any) -> str:
        if entry.polling is None:
            return "not polled yet"
        return f"{entry.polling}: {entry.polling_error}" if entry.polling_error else str(entry.polling)


@admin.register(SignalSettings)
class SignalSettingsAdmin(WarnsBeyondTheBudget):
    fieldsets = [
        ("Polling and thresholds", {"fields": ["default_threshold", "poll_seconds", "max_age_seconds"]}),
        ("Decisions", {"fields": ["pending_seconds", "approval_seconds", "max_drift_pct", "max_drift_atr"]}),
        ("Size", {"fields": ["sizing", "shares", "dollars", "equity_pct", "risk_dollars"]}),
        ("Stop, target and entry", {
            "fields": [
                "atr_period", "stop_atr_multiple", "min_stop_pct", "reward_risk", "entry_offset_pct", "slippage_pct", "entry_life_seconds",
            ],
        }),
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not SignalSettings.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one row: go straight to it."""
        return redirect(reverse("admin:signals_signalsettings_change", args=[SignalSettings.current().pk]))


@admin.register(SignalRecord)
class SignalAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "symbol", "direction", "action", "confidence", "state", "reason", "decided_by", "decided_at"]
    list_filter = ["state", ("symbol", IndexedValues), by_date("created_at")]
    search_fields = ["symbol", "signal_id"]
    sorted_by = ("created_at",)


@admin.register(PredictionRecord)
class PredictionAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "ticker", "word", "confidence", "verdict", "reason", "data_time", "revision"]
    list_filter = ["verdict", ("ticker", IndexedValues), by_date("received_at")]
    search_fields = ["ticker"]
    sorted_by = ("received_at",)


@admin.register(SourceHealth)
class SourceHealthAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "state", "last_success", "last_new", "errors_in_row", "last_error"]
    list_filter = ["state"]
    search_fields = ["ticker"]
    sorted_by = ("state", "last_success", "last_new", "errors_in_row")


@admin.register(FlowPoint)
class FlowPointAdmin(ReadOnlyAdmin):
    list_display = ["at", "kind", "ticker", "key"]
    list_filter = [one_of("kind", "trade", "divergence", "minute", "range"), ("ticker", IndexedValues)]
    search_fields = ["ticker"]
    ordering = ["-id"]  # as they were stored; the table has no index of times alone
    sorted_by = ()

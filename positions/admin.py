"""The written record in the admin. Only the worker writes it: saving a position's stop or target files a command, and the
page shows what became of it; orders, fills, equity and bars can only be read. Risk limits are plain rows a person edits.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin_lists import BigListAdmin, IndexedValues, by_date, one_of
from events.admin_pages import ReadOnlyAdmin, cell, cells, plain_number
from events.clock import monotonic, utc_now
from events.commands import BadCommand, ChangeStop, ChangeTarget, Command, HaltTrading, ReduceOnly
from events.inbox import file_command
from events.models import CommandRecord
from events.order import OrderRole, OrderSide
from events.position import PositionStatus
from events.refusal_words import refusal_title
from events.roles import can
from events.tape import COMMANDS
from events.templatetags import desk
from events.wording import UNKNOWN, money_text
from positions import (
    admin_alarms,  # noqa: F401  (registers itself)
    admin_protection,  # noqa: F401  (registers itself)
    admin_risk,  # noqa: F401  registers limits and locks
)
from positions.accounts import OnlyLookedAt, acting_account, traded_account
from positions.admin_accounts import OfTheShownAccount
from positions.models import CashFlow, EquityPoint, FillRecord, MinuteBar, OrderRecord, PositionRecord, TradingState

SHOWN_COMMANDS = 5
ANSWER_SECONDS = 1.5  # the page after a save waits this long for the worker's answer
JUST_ASKED = timedelta(seconds=5)
LEVELS = (cell(PositionRecord, "stop_loss"), cell(PositionRecord, "take_profit"))
WAITING = (CommandRecord.State.PENDING, CommandRecord.State.CLAIMED)


class PositionForm(forms.ModelForm):
    """`key` makes a form that is sent twice one command."""

    key = forms.CharField(widget=forms.HiddenInput, initial=lambda: uuid.uuid4().hex, required=False, max_length=32, label="")

    class Meta:
        model = PositionRecord
        fields = ("stop_loss", "take_profit")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, value in self.initial.items():  # 516.680000 is how it is stored, not how it is typed
            if isinstance(value, Decimal):
                self.initial[name] = Decimal(desk.typed_price(value))

    def clean_stop_loss(self) -> Any:
        return self._kept("stop_loss", "stop")

    def clean_take_profit(self) -> Any:
        return self._kept("take_profit", "target")

    def _kept(self, name: str, what: str) -> Any:
        """A price, unchanged or new; this page moves protection and never removes it."""
        value = self.cleaned_data.get(name)
        if value is None and self.initial.get(name) is not None:
            raise forms.ValidationError(f"The {what} can be moved here, not removed.")
        if value is not None and value <= 0:
            raise forms.ValidationError(f"The {what} must be above zero.")
        return value


@admin.register(PositionRecord)
class PositionAdmin(OfTheShownAccount, BigListAdmin):
    """Stop and target are editable while the position lives; saving asks the worker."""

    form = PositionForm
    list_display = cells(
        PositionRecord, "symbol", "status", "quantity", "entry_price", "current_price", "unrealized_pnl", "realized_pnl", "stop_loss",
        "take_profit", "stop_state", "open_time",
    )  # fmt: skip
    list_display_links = list_display[:1]
    list_filter = (
        ("status", IndexedValues),
        ("symbol", IndexedValues),
        one_of("stop_state", "none", "pending", "resting", "missing"),
        by_date("created_at"),
    )
    search_fields = ("symbol", "position_id", "signal_id")
    sorted_by = tuple(list_display)  # some ten thousand rows
    fieldsets = (
        ("Protection", {"fields": ("stop_loss", "take_profit", cell(PositionRecord, "stop_state"), "wishes", "key")}),
        (
            "Position",
            {
                "fields": cells(
                    PositionRecord, "symbol", "status", "quantity", "entry_price", "current_price", "price_at", "unrealized_pnl",
                    "realized_pnl", "commission", "risk_taken", "r_multiple", "max_favorable", "max_adverse",
                )
            },
        ),
        (
            "Life",
            {
                "fields": [
                    *cells(PositionRecord, "open_time", "close_time", "exit_price", "reason", "initial_stop", "strategy", "account"),
                    "chain",
                ]
            },
        ),
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and can(request.user, "trade")

    def get_readonly_fields(self, request: HttpRequest, obj: PositionRecord | None = None) -> Any:
        shown = tuple(name for _, part in self.fieldsets for name in part["fields"] if name not in ("stop_loss", "take_profit", "key"))
        return shown if self._is_editable(request, obj) else (*shown, *LEVELS)

    def get_fieldsets(self, request: HttpRequest, obj: PositionRecord | None = None) -> Any:
        """What cannot be moved is shown like everything else that cannot."""
        if self._is_editable(request, obj):
            return self.fieldsets
        protection = ("Protection", {"fields": (*LEVELS, cell(PositionRecord, "stop_state"), "wishes")})
        return (protection, *self.fieldsets[1:])

    def _is_editable(self, request: HttpRequest, obj: PositionRecord | None) -> bool:
        return obj is not None and obj.status != PositionStatus.CLOSED and self.has_change_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    @admin.display(description="Last wishes")
    def wishes(self, record: PositionRecord) -> SafeString | str:
        """The latest commands about this position: pending, done or refused, and why."""
        commands = CommandRecord.objects.filter(position_id=record.position_id).select_related("created_by")[:SHOWN_COMMANDS]
        if not commands:
            return "None yet. Saving a new stop or target asks the worker, and its answer appears here."
        rows = [
            (desk.et(c.created_at, "full"), c.created_by or UNKNOWN, _wish(c), _outcome(c), c.reason or refusal_title(c.code) or UNKNOWN)
            for c in commands
        ]
        head = format_html_join("", "<th>{}</th>", [(word,) for word in ("When", "Who", "Wish", "Outcome", "Why")])
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td><strong>{}</strong></td><td>{}</td></tr>", rows)
        return format_html('<table class="wishes"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)

    @admin.display(description="Chain")
    def chain(self, record: PositionRecord) -> SafeString:
        orders = f"{reverse('admin:positions_orderrecord_changelist')}?position_id={record.position_id}"
        return format_html('<a href="{}">orders of this position</a>, signal {}', orders, record.signal_id or "none")

    def save_model(self, request: HttpRequest, obj: PositionRecord, form: PositionForm, change: bool) -> None:
        """Nothing is written here: each changed price becomes a command that the worker obeys or refuses."""
        for name, kind in (("stop_loss", ChangeStop), ("take_profit", ChangeTarget)):
            price = form.cleaned_data.get(name)
            if name in form.changed_data and price is not None:
                self._file(request, kind(position_id=obj.position_id, price=float(price)), form.cleaned_data.get("key") or uuid.uuid4().hex)

    def _file(self, request: HttpRequest, command: ChangeStop | ChangeTarget, key: str) -> None:
        try:
            record, _ = file_command(
                command, account=acting_account(request), user=request.user, key=f"admin:{request.user.pk}:{command.name}:{key}"
            )
        except (BadCommand, OnlyLookedAt) as error:
            messages.error(request, f"Refused: {error}.")
            return
        what = "stop" if isinstance(command, ChangeStop) else "target"
        messages.info(request, f"Asked the worker to move the {what} to {plain_number(Decimal(str(command.price)))} (command {record.pk}).")

    def response_change(self, request: HttpRequest, obj: PositionRecord) -> HttpResponse:
        """Back to the same page: the answer to what was asked stands there."""
        return redirect("admin:positions_positionrecord_change", obj.pk)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "GET":
            self._tell_answers(request, object_id)
        return super().change_view(request, object_id, *args, **kwargs)

    def _tell_answers(self, request: HttpRequest, position_id: str) -> None:
        """What the worker said to this person's latest wishes, waited for a moment: a refusal must not be overlooked."""
        mine = CommandRecord.objects.filter(position_id=position_id, created_by=request.user.pk, created_at__gte=utc_now() - JUST_ASKED)
        until = monotonic() + ANSWER_SECONDS
        while monotonic() < until and mine.filter(state__in=WAITING).exists():
            time.sleep(0.1)
        for command in mine.order_by("pk"):
            if command.state == CommandRecord.State.DONE:
                messages.success(request, f"{_wish(command)}: done, {command.reason}.")
            elif command.state in WAITING:
                messages.warning(request, f"{_wish(command)}: the worker has not answered yet. Reload this page to see its answer.")
            else:
                messages.error(request, f"{_wish(command)}: {command.state}. {command.reason or command.code}")

    def message_user(self, request: HttpRequest, message: Any, level: Any = messages.INFO, *args: Any, **kwargs: Any) -> None:
        """The admin's own "was changed successfully" would not be true: the worker has not answered yet."""
        if level != messages.SUCCESS:
            super().message_user(request, message, level, *args, **kwargs)


def _wish(command: CommandRecord) -> str:
    price = command.payload.get("price")
    return (
        f"{COMMANDS.get(command.name, command.name)} to {money_text(price)}"
        if isinstance(price, int | float)
        else COMMANDS.get(command.name, command.name)
    )


def _outcome(command: CommandRecord) -> str:
    return "waiting for the worker" if command.state in WAITING else str(command.state)


@admin.register(OrderRecord)
class OrderAdmin(OfTheShownAccount, ReadOnlyAdmin):
    list_display = ("created_at", "symbol", "role", "side", "order_type", "quantity", "limit_price", "stop_price", "state", "pending",
                    "filled_quantity", "average_price", "ib_status", "message", "external")  # fmt: skip
    list_filter = (("state", IndexedValues), one_of("role", *OrderRole), "external", ("symbol", IndexedValues), by_date("created_at"))
    search_fields = ("symbol", "order_id", "order_ref", "position_id", "signal_id", "perm_id")
    sorted_by = ("created_at",)


@admin.register(FillRecord)
class FillAdmin(OfTheShownAccount, ReadOnlyAdmin):
    list_display = ("fill_time", "symbol", "side", "quantity", "price", "commission", "realized_pnl", "recovered", "superseded", "exec_id")
    list_filter = (("symbol", IndexedValues), one_of("side", *OrderSide), "recovered", "superseded", by_date("fill_time"))
    search_fields = ("symbol", "exec_id", "order_id", "position_id", "order_ref")
    sorted_by = ("fill_time",)


@admin.register(EquityPoint)
class EquityAdmin(OfTheShownAccount, ReadOnlyAdmin):
    list_display = ("at", "account", "resolution", "equity", "cash", "unrealized_pnl", "realized_pnl", "day_pnl", "open_risk")
    list_filter = (by_date("at"),)
    sorted_by = ("at",)


@admin.register(CashFlow)
class CashFlowAdmin(OfTheShownAccount, ReadOnlyAdmin):
    """What moved without an execution. A person names it on the Broker page, where the difference is."""

    list_display = ("at", "amount", "currency", "kind", "source", "by", "reason", "equity_before")
    list_filter = (one_of("kind", *CashFlow.Kind), by_date("at"))
    sorted_by = ("at",)


@admin.register(MinuteBar)
class MinuteBarAdmin(ReadOnlyAdmin):
    list_display = ("at", "symbol", "open", "high", "low", "close", "volume")
    list_filter = (("symbol", IndexedValues), by_date("at"))
    sorted_by = ("at",)


@admin.register(TradingState)
class TradingStateAdmin(ReadOnlyAdmin):
    """Shown here, stopped here by command. Released on the trading page alone, where a reason and a typed word are asked for."""

    list_display = ("state", "reason", "changed_by", "changed_at", "version")
    actions = ("halt", "reduce_only")

    @admin.action(description="Halt trading (protective orders stay)", permissions=["halt"])
    def halt(self, request: HttpRequest, queryset: QuerySet[TradingState]) -> None:
        self._ask(request, HaltTrading(reason="halted in the admin"))

    @admin.action(description="Allow exits only", permissions=["halt"])
    def reduce_only(self, request: HttpRequest, queryset: QuerySet[TradingState]) -> None:
        self._ask(request, ReduceOnly(reason="exits only, set in the admin"))

    def has_halt_permission(self, request: HttpRequest) -> bool:
        return can(request.user, "halt")

    def _ask(self, request: HttpRequest, command: Command) -> None:
        key = f"admin:{request.user.pk}:{command.name}:{uuid.uuid4().hex}"
        record, _ = file_command(command, account=traded_account(), user=request.user, key=key)
        self.message_user(request, f"Asked the worker: {command.name} (command {record.pk}). Reload to see the state.", messages.INFO)

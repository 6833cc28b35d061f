"""How numbers and times are written on every page: tabular, signed, dated, and "–" when unknown.

`static/js/format.js` writes the same things in the browser; a change here belongs there too.
Filters take floats, ints, Decimals, numeric text, datetimes and ISO text, and never raise on a bad value.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.clock import utc_now
from events.exchange_time import EXCHANGE_ZONE, exchange_date
from events.refusal_words import refusal_title
from events.tape import order_state_words
from events.wording import NO_R, UNKNOWN, class_words, plain_text, price_text, quantity_text, rounded, shares_words

register = template.Library()

_TIME_SHAPES = {"time": "%H:%M:%S", "short": "%H:%M", "minute": "%H:%M", "day": "%b %-d, %Y", "full": "%b %-d, %Y %H:%M:%S"}
_DATED_SHAPES = frozenset({"time", "minute", "short"})  # a date comes before these where today does not make it plain


def _number(value: Any) -> Decimal | None:
    """The value as a finite Decimal, or None when it says nothing."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _moment(value: Any) -> datetime | None:
    """The value as an aware datetime, or None."""
    if isinstance(value, str):
        try:
            value = parse_datetime(value)
        except ValueError:
            return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    return value


def _explicit(number: Decimal, decimals: int) -> tuple[str, str]:
    """(text with its sign, up|down|flat); what rounds to zero is flat and carries no sign."""
    text = plain_text(number, decimals)
    if not any(digit in "123456789" for digit in text):
        return text, "flat"
    return (text, "down") if number < 0 else (f"+{text}", "up")


def _marked(number: Decimal | None, decimals: int, suffix: str = "") -> SafeString:
    if number is None:
        return format_html('<span class="num unknown">{}</span>', UNKNOWN)
    text, way = _explicit(number, decimals)
    triangle = {"up": "▲", "down": "▼", "flat": ""}[way]
    return format_html('<span class="num pnl {}"><span class="tri" aria-hidden="true">{}</span>{}{}</span>', way, triangle, text, suffix)


@register.filter
def money(value: Any, decimals: int = 2) -> str:
    """1234.5 -> 1,234.50 (no sign unless negative, no currency: that stands once per column)."""
    number = _number(value)
    return UNKNOWN if number is None else plain_text(number, int(decimals))


@register.filter
def quantity(value: Any) -> str:
    """Shares: whole numbers without decimals, fractions as they are."""
    return quantity_text(_number(value))


@register.filter
def price(value: Any, decimals: int | str = "") -> str:
    """Two decimals, or up to four where the price itself has them (sub-dollar ticks)."""
    number = _number(value)
    if number is None:
        return UNKNOWN
    return price_text(number) if decimals == "" else plain_text(number, int(decimals))


@register.filter
def typed_price(value: Any) -> str:
    """A price as it stands in a field: 266.10, 0.1234, no separators; "" when there is none."""
    number = _number(value)
    if number is None:
        return ""
    return f"{rounded(number, max(2, -int(number.normalize().as_tuple().exponent))):f}"


@register.filter
def signed(value: Any, decimals: int = 2) -> SafeString:
    """Profit or loss: triangle, explicit sign and colour; a true zero is plain."""
    return _marked(_number(value), int(decimals))


@register.filter
def signed_pct(value: Any, decimals: int = 2) -> SafeString:
    """A fraction as a signed percentage: 0.0123 -> ▲+1.23 %."""
    number = _number(value)
    return _marked(None if number is None else number * 100, int(decimals), "\u202f%")


@register.filter
def drift(value: Any, direction: Any) -> SafeString:
    """How far the price has moved since the prediction, a fraction; coloured by what that does to an entry in `direction`."""
    number = _number(value)
    if number is None:
        return _marked(None, 2)
    text, way = _explicit(number * 100, 2)
    triangle = {"up": "▲", "down": "▼", "flat": ""}[way]
    worse = number * (_number(direction) or 0) > 0  # up for a buy, down for a sell
    colour = "flat" if way == "flat" else "down" if worse else "up"
    return format_html('<span class="num pnl {}"><span class="tri" aria-hidden="true">{}</span>{}\u202f%</span>', colour, triangle, text)


@register.filter
def pct(value: Any, decimals: int = 1) -> str:
    """A fraction as a percentage: 0.8 -> 80.0 %."""
    number = _number(value)
    return UNKNOWN if number is None else f"{plain_text(number * 100, int(decimals))}\u202f%"


@register.filter
def multiple(value: Any) -> SafeString:
    """An R multiple, signed; without one the reason stands beside the dash."""
    number = _number(value)
    if number is None:
        return format_html('<span class="num unknown" title="{}">{}</span>', NO_R, UNKNOWN)
    return _marked(number, 2, "\u202fR")


@register.filter
def full_stop(value: Any) -> str:
    """A sentence's end, once."""
    return f"{str(value).rstrip('.')}."


@register.filter
def in_r(value: Any) -> str:
    """An R multiple in brackets behind its amount; nothing where none is known."""
    number = _number(value)
    return "" if number is None else f"({plain_text(number, 2)}\u202fR)"


@register.filter
def risk_note(row: Any) -> str:
    """What a position's row says of the risk that R is measured in: nothing before the entry, and in rows of earlier versions."""
    if not isinstance(row, Mapping) or not row.get("opened_quantity") or "risk_taken" not in row:
        return ""
    risk = _number(row["risk_taken"])
    return NO_R if risk is None else f"risk taken {plain_text(risk, 2)}"


def age_text(seconds: float) -> str:
    """The shortest honest age: 4 s, 12 min, 3 h, 5 d."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds}\u202fs"
    if seconds < 3600:
        return f"{seconds // 60}\u202fmin"
    return f"{seconds // 3600}\u202fh" if seconds < 86400 else f"{seconds // 86400}\u202fd"


def _exact(moment: datetime) -> str:
    local = moment.astimezone(EXCHANGE_ZONE)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local:%Z}"


@register.filter
def age(value: Any, limit: int | str = "") -> SafeString | str:
    """How long ago, kept counting by the browser (shell.js); the tooltip has the exact time. Beyond `limit` seconds it is marked old."""
    moment = _moment(value)
    if moment is None:
        return UNKNOWN
    seconds = (utc_now() - moment).total_seconds()
    marked = " old" if limit and seconds > int(limit) else ""
    shape = '<time class="age num{}" datetime="{}" title="{}" data-age data-limit="{}">{}</time>'
    return format_html(shape, marked, moment.isoformat(), _exact(moment), limit, age_text(seconds))


@register.filter
def et(value: Any, shape: str = "time") -> SafeString | str:
    """Exchange time with its zone; of another day than today with its date. Shapes: time, minute, day, short (date always), full."""
    moment = _moment(value)
    if moment is None:
        return UNKNOWN
    local = moment.astimezone(EXCHANGE_ZONE)
    zone = "" if shape == "day" else f" {local:%Z}"
    shape = shape if shape in _TIME_SHAPES else "time"
    return format_html(
        '<time class="et num" datetime="{}" title="{}" data-shape="{}">{}<span class="zone">{}</span></time>',
        moment.isoformat(),
        _exact(moment),
        shape,
        _date_before(local, shape) + local.strftime(_TIME_SHAPES[shape]),
        zone,
    )


def _date_before(local: datetime, shape: str) -> str:
    """A time without a date is one of today; one of another year says which."""
    today = exchange_date(utc_now())
    if shape not in _DATED_SHAPES or (shape != "short" and local.date() == today):
        return ""
    return local.strftime("%b %-d, " if local.year == today.year else "%b %-d, %Y, ")


@register.filter
def pretty_json(value: Any) -> str:
    """Indented JSON for people; the template escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str, sort_keys=True)


@register.filter
def words(value: Any) -> str:
    """reduce_only -> reduce only; the state words of the desk in plain writing."""
    return str(value or "").replace("_", " ")


@register.filter(name="refusal_title")
def title_of_refusal(code: Any) -> str:
    """The title of a refusal's code, or of the broker's error number."""
    return refusal_title(code)


@register.filter
def split_words(value: Any) -> str:
    """PositionUpdateEvent -> Position update; class names in plain writing."""
    return class_words(value)


@register.filter
def shares(value: Any) -> str:
    """1 share, 1,000 shares."""
    return shares_words(_number(value))


@register.simple_tag
def command_key() -> SafeString:
    """A fresh idempotency key as a hidden field: submitting the same form twice files one command."""
    return format_html('<input type="hidden" name="key" value="{}">', uuid.uuid4())


@register.simple_tag(takes_context=True)
def here(context: template.Context, *namespaces: str) -> SafeString | str:
    """`aria-current` for the navigation entry whose url name or namespace is being shown."""
    match = getattr(context.get("request"), "resolver_match", None)
    if match is None:
        return ""
    names = {match.view_name, match.namespace, (match.view_name or "").split("_")[0]}
    return format_html('{}="page"', "aria-current") if names & set(namespaces) else ""


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """The page's own query string with some parameters changed; None or "" removes one."""
    params = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            params.pop(name, None)
        else:
            params[name] = str(value)
    return f"?{params.urlencode()}" if params else "?"


_STATES = {
    "good": "ok connected ready done filled resting approved active",
    "info": "open working acked sending opening closing adjusting partial pending claimed syncing connecting reconciling starting",
    "warn": "degraded reduce_only expired in_doubt denied upstream_lost rejected refused",
    "alarm": "down missing halted disconnected misconfigured",
}
_TONES = {state: tone for tone, states in _STATES.items() for state in states.split()}


@register.filter
def order_state(order: Any) -> str:
    """The state of an OrderRecord or of its page row in words: a stop held until its price is "resting"."""
    row = order if isinstance(order, dict) else getattr(order, "data", None) or {}
    state = row.get("state") or getattr(order, "state", "")
    return order_state_words(state, row.get("why_held"), row.get("role") or getattr(order, "role", ""))


@register.filter
def tone(value: Any) -> str:
    """The badge tone of a state word: good, info, warn, alarm or quiet."""
    return _TONES.get(str(value or "").lower(), "quiet")

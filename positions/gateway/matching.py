"""Price rules of the exchange, one order against one market picture: does it trigger, does it fill, at what price.

Quotes: a buy lifts the ask and a sell hits the bid, never beyond its limit; stops trigger on the last trade, which is
IB's default for US stocks. Bars: the path inside a bar is unknown, so every doubt is settled against the trader: a
stop is looked at before a target, a stop that the open has jumped over fills at the open, a limit fills at its own
price unless the open was better, and a trail is tested at its old level before the bar's favourable extreme moves it.
"""

from __future__ import annotations

from positions.gateway.orders import TRAIL_KINDS, BarLike, BookOrder, Kind, OrderSpec, QuoteLike, Side

_LIMITED = frozenset({Kind.LIMIT, Kind.STOP_LIMIT, Kind.TRAIL_LIMIT, Kind.LIMIT_ON_CLOSE})


def ratchet(order: BookOrder, price: float) -> None:
    """Moves a trailing trigger after `price`; it only ever comes closer to the market."""
    spec = order.spec
    if spec.kind not in TRAIL_KINDS or order.triggered:
        return
    distance = price * spec.trail_percent / 100 if spec.trail_percent else spec.trail_amount or 0.0
    if spec.side is Side.SELL:
        level = _snap(price - distance)
        order.stop_price = level if order.stop_price is None else max(order.stop_price, level)
    else:
        level = _snap(price + distance)
        order.stop_price = level if order.stop_price is None else min(order.stop_price, level)


def modified_stop(order: BookOrder, spec: OrderSpec) -> float | None:
    """The trigger after a change of the order: a trail keeps what it has reached unless its distance or start changed."""
    if spec.kind not in TRAIL_KINDS:
        return spec.stop_price
    names = ("stop_price", "trail_amount", "trail_percent")
    same = all(getattr(spec, name) == getattr(order.spec, name) for name in names)
    return order.stop_price if same else spec.stop_price


def trigger_on_quote(order: BookOrder, quote: QuoteLike) -> bool:
    """Arms, ratchets and tests a stop against the last trade; True when it has triggered now or before."""
    if not order.armed:
        return True
    ratchet(order, quote.last)
    if order.stop_price is None or not _reached(order, quote.last):
        return False
    elect(order)
    return True


def elect(order: BookOrder) -> None:
    """Turns a triggered stop into the market or limit order it stands for."""
    order.triggered = True
    if order.spec.kind is Kind.TRAIL_LIMIT and order.stop_price is not None:
        offset = order.spec.limit_offset or 0.0
        order.limit_price = order.stop_price - offset if order.spec.side is Side.SELL else order.stop_price + offset


def fill_price_on_quote(order: BookOrder, quote: QuoteLike) -> float | None:
    """The price at which a triggered order trades against this quote, None when it does not."""
    if order.spec.side is Side.BUY:
        touch = quote.ask
        within = order.limit_price is None or touch <= order.limit_price
    else:
        touch = quote.bid
        within = order.limit_price is None or touch >= order.limit_price
    return touch if within or order.spec.kind not in _LIMITED else None


def fill_price_on_bar(order: BookOrder, bar: BarLike, *, from_open: bool) -> float | None:
    """The price inside this bar, None when the order does not trade.

    `from_open` is False for an order that became active inside the bar: it can not have traded at the open.
    """
    if order.armed:
        return _stop_on_bar(order, bar, from_open=from_open)
    if order.spec.kind not in _LIMITED:
        return bar.open if from_open else bar.close
    return _limit_on_bar(order, bar, from_open=from_open)


def _stop_on_bar(order: BookOrder, bar: BarLike, *, from_open: bool) -> float | None:
    sells = order.spec.side is Side.SELL
    if order.stop_price is None:
        ratchet(order, bar.open)
    stop = order.stop_price
    if stop is None:
        return None
    if not (bar.low <= stop if sells else bar.high >= stop):
        ratchet(order, bar.high if sells else bar.low)
        return None
    elect(order)
    price = stop if bar.low <= stop <= bar.high else bar.close  # beyond the bar: triggered at once on becoming active
    if from_open and (bar.open <= stop if sells else bar.open >= stop):
        price = bar.open
    limit = order.limit_price if order.spec.kind in _LIMITED else None
    if limit is None or (price >= limit if sells else price <= limit):
        return price
    reached_again = limit <= bar.close if sells else limit >= bar.close
    return limit if reached_again else None


def _limit_on_bar(order: BookOrder, bar: BarLike, *, from_open: bool) -> float | None:
    limit = order.limit_price
    if limit is None:
        return None
    if order.spec.side is Side.BUY:
        if bar.low > limit:
            return None
        return min(bar.open, limit) if from_open else limit
    if bar.high < limit:
        return None
    return max(bar.open, limit) if from_open else limit


def _snap(price: float) -> float:
    """To the cent, below a dollar to the hundredth of one."""
    return round(price, 2 if price >= 1 else 4)


def _reached(order: BookOrder, last: float) -> bool:
    stop = order.stop_price
    if stop is None:
        return False
    return last <= stop if order.spec.side is Side.SELL else last >= stop

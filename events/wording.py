"""How ages and moments are said in sentences: refusals, objections, health, banners. Pure text, no clock and no settings.

`static/js/format.js` has the browser's twin of `age_words`; a shared table of cases tests both.
"""

from __future__ import annotations

import math
import re
import socket
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext

from events.exchange_time import EXCHANGE_ZONE, exchange_date

UNKNOWN = "–"
MINUS = "\u2212"  # as wide as the plus sign, so that signed columns line up
NO_R = "No R: no stop, or one already in profit, rested when it was entered."
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
_STATE_NAME = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
SECONDS_SAID = 120  # up to here an age is said in seconds


def age_words(seconds: float) -> str:
    """A span as a person says it: "45 s", "3 minutes", "5 hours", "2 days". Rounded down; never below 0 s.

    What never happened is endlessly long ago: "an unknown time".
    """
    if not math.isfinite(seconds):
        return "an unknown time"
    whole = max(0, int(seconds))
    if whole <= SECONDS_SAID:
        return f"{whole} s"
    size, unit = next((size, unit) for size, unit in _UNITS if whole >= size)
    count = whole // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def money_text(value: float | Decimal, decimals: int = 2) -> str:
    """An amount with thousands separators: 1,234.50. Half a last place is rounded away from zero, on the number as it is written.

    The browser rounds so, and people do; a float's own formatting looks at its binary digits and takes 2.805 for less.
    """
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        return f"{number}"
    return f"{rounded(number, decimals):,f}"


def quantity_text(value: float | Decimal | None, *, signed: bool = False) -> str:
    """Shares, and other numbers of no fixed size: 1,000,000 or 0.3334, never 1e+06. `signed`: +5 beside −5. "–" when unknown."""
    number = finite(value)
    if number is None:
        return UNKNOWN
    text = plain_text(number, places(number))
    return f"+{text}" if signed and number > 0 else text


def shares_words(value: float | Decimal | None, *, signed: bool = False) -> str:
    """1 share, 1,000 shares, −2.5 shares."""
    return f"{quantity_text(value, signed=signed)} {'share' if value is not None and abs(value) == 1 else 'shares'}"


def price_text(value: float | Decimal | None) -> str:
    """Two decimals; below one up to four, where the price itself has them (sub-dollar ticks). "–" when unknown."""
    number = finite(value)
    if number is None:
        return UNKNOWN
    return plain_text(number, 2 if abs(number) >= 1 else max(2, places(number)))


def percent_text(fraction: float | Decimal | None, decimals: int = 2, *, signed: bool = False) -> str:
    """A fraction: 0.0125 is 1.25%. `signed`: +1.25% beside −1.25%; what rounds to zero has no sign. "–" when unknown."""
    number = finite(fraction)
    if number is None:
        return UNKNOWN
    text = plain_text(number * 100, decimals)
    return f"{'+' if signed and number > 0 and any(digit in '123456789' for digit in text) else ''}{text}%"


def class_words(name: object) -> str:
    """PositionUpdateEvent -> Position update: a class name in plain writing."""
    text = str(name or "").removesuffix("Event")
    return "".join(f" {letter.lower()}" if letter.isupper() and at else letter for at, letter in enumerate(text))


def state_words(name: object) -> str:
    """reduce_only -> reduce only: a name of programs in plain writing. A sentence stays as it is."""
    text = str(name or "")
    return text.replace("_", " ") if _STATE_NAME.fullmatch(text) else text


def count_words(count: int, one: str, many: str = "") -> str:
    """1 symbol, 1,234 symbols; `many` where an s will not do."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def finite(value: float | Decimal | None) -> Decimal | None:
    """As a Decimal, by the digits that it is written with; None when it is none or not a number."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, Decimal) else Decimal(repr(float(value)))


def places(number: Decimal) -> int:
    """How many decimals a number has when it is written with at most four."""
    return max(0, -int(rounded(number, 4).normalize().as_tuple().exponent))


def plain_text(number: Decimal, decimals: int) -> str:
    """1,234.50 or −1,234.50; what rounds to zero carries no sign."""
    text = money_text(abs(number), decimals)
    is_zero = not any(digit in "123456789" for digit in text)
    return text if number >= 0 or is_zero else MINUS + text


def rounded(number: Decimal, decimals: int) -> Decimal:
    """Half away from zero, with exactly that many decimals."""
    if number.adjusted() > 40:
        return number  # no amount of anything
    with localcontext() as context:
        context.prec = 60
        return number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def moment_words(at: datetime, now: datetime) -> str:
    """A moment in exchange time with its zone; its date too unless that is today: "13:00 EST", "Mon, Nov 30, 09:30 EST"."""
    local, today = at.astimezone(EXCHANGE_ZONE), exchange_date(now)
    time = f"{local:%H:%M} {local:%Z}"
    if local.date() == today:
        return time
    return f"{day_words(at, now)}, {time}"


def day_words(at: datetime, now: datetime) -> str:
    """The exchange day of a moment: "Mon, Nov 30", with the year when it is another one."""
    local = at.astimezone(EXCHANGE_ZONE)
    year = f", {local:%Y}" if local.year != now.astimezone(EXCHANGE_ZONE).year else ""
    return f"{local:%a, %b} {local.day}{year}"


def left_words(seconds: float) -> str:
    """Until a moment, for a countdown: "45 s", "12 min", "2 h 14 min", "2 d 20 h". Rounded up to the next minute from one minute on."""
    whole = max(0, math.ceil(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def link_words(error: BaseException) -> str:
    """Why something in the network did not answer, without the words of a library or an error number."""
    known: tuple[tuple[type[BaseException], str], ...] = (
        (ConnectionRefusedError, "nothing listens there; start it, or correct the address"),
        (TimeoutError, "it did not answer in time"),
        (socket.gaierror, "its name is not known; correct the address"),
        (ConnectionError, "the link was cut"),
    )
    for kind, words in known:
        if isinstance(error, kind):
            return words
    return "the network says no; look at the address and the network"

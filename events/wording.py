"""How ages and moments are said in sentences: refusals, objections, health, banners. Pure text, no clock and no settings.

`static/js/format.js` has the browser's twin of `age_words`; a shared table of cases tests both.
"""

from __future__ import annotations

import math
import socket
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from zoneinfo import ZoneInfo

EXCHANGE_ZONE = ZoneInfo("America/New_York")
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
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


def rounded(number: Decimal, decimals: int) -> Decimal:
    """Half away from zero, with exactly that many decimals."""
    if number.adjusted() > 40:
        return number  # no amount of anything
    with localcontext() as context:
        context.prec = 60
        return number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def moment_words(at: datetime, now: datetime) -> str:
    """A moment in exchange time with its zone; its date too unless that is today: "13:00 EST", "Mon, Nov 30, 09:30 EST"."""
    local, today = at.astimezone(EXCHANGE_ZONE), now.astimezone(EXCHANGE_ZONE).date()
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

"""Reading one HTTP answer of the options-flow API: its envelope, its errors and its rate-limit headers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from events.clock import utc_now
from signals.domain.flow_errors import FlowBadAnswer, refusal

MAX_TEXT = 500
MAX_DEPTH = 20
LONGEST_WAIT = 900.0
_EPOCH_FROM = 1_000_000  # a reset above this is an epoch second, not a wait


def read_answer(status: int, body: bytes, *, secret: str = "", retry_after: float | None = None) -> dict[str, Any]:
    """The `data` object of an answer; raises FlowRefused or FlowBadAnswer with the server's own words, the key removed."""
    try:
        document = strict_json(body)
    except ValueError as error:
        text = _clean(body.decode("utf-8", "replace"), secret)
        if status >= 400:
            raise refusal(status, text, retry_after=retry_after) from None
        raise FlowBadAnswer(f"the options-flow API sent no valid JSON ({error}): {text[:200]}") from None
    if not isinstance(document, dict):
        raise FlowBadAnswer("the options-flow API sent JSON that is not an object") if status < 400 else refusal(status, "")
    if status >= 400 or document.get("status") == "error":
        code = document.get("code")
        words = ": ".join(str(document[name]) for name in ("error", "message") if document.get(name))
        # Some deployments answer 200 with an error body; its own code says what it is.
        known = status if status >= 400 else code if type(code) is int and 400 <= code < 600 else 500
        raise refusal(known, _clean(words, secret), retry_after=retry_after)
    if status >= 300:
        raise FlowBadAnswer(f"the options-flow API answered {status}; redirects are not followed")
    data = document.get("data")
    if not isinstance(data, dict):
        raise FlowBadAnswer("the options-flow API's answer has no data object")
    return data


def strict_json(body: bytes) -> Any:
    """JSON without NaN, infinities, duplicate keys or nesting deeper than 20; raises ValueError."""
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(document)
    return document


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number out of range")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a duplicate key")
    return result


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _clean(text: str, secret: str) -> str:
    """The server's words, printable, short, and without our key."""
    if secret:
        text = text.replace(secret, "***")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:MAX_TEXT].strip()


def seconds_to_wait(headers: Mapping[str, str], *, now: Callable[[], float] = lambda: utc_now().timestamp()) -> float | None:
    """How long the server asks us to wait: Retry-After, else X-RateLimit-Reset; None when it says nothing usable."""
    for name in ("retry-after", "x-ratelimit-reset"):
        value = _number(headers.get(name))
        if value is not None:
            wait = value - now() if value > _EPOCH_FROM else value
            return min(LONGEST_WAIT, max(0.0, wait))
    return None


def spent_for(headers: Mapping[str, str]) -> float | None:
    """Seconds until new requests are granted when the answer says that none remain; None when some do."""
    if _number(headers.get("x-ratelimit-remaining")) != 0:
        return None
    return seconds_to_wait(headers)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None

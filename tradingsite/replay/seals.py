"""Keyed digests: whoever changes sealed rows in the database, by hand or by a broken disk, cannot make the seal fit again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson
from django.conf import settings

SIZE = 16  # bytes
_MODULUS = 2 ** (8 * SIZE)


def _key() -> bytes:
    return blake2b(settings.SECRET_KEY.encode(), digest_size=32, person=b"journal").digest()


def key_name() -> str:
    """Tells one key from another without telling the key."""
    return blake2b(_key(), digest_size=8).hexdigest()


def seal(*parts: Any) -> str:
    return blake2b(b"\x1f".join(str(part).encode() for part in parts), digest_size=SIZE, key=_key()).hexdigest()


class RunningSeal:
    """The seal of a stretch of events, chained to the one before it. Add rows of the journal as the database gives them."""

    def __init__(self, before: str) -> None:
        self._hash = blake2b(before.encode(), digest_size=SIZE, key=_key())

    def add(self, row: tuple[Any, ...]) -> None:
        self._hash.update("\x1f".join(map(str, row)).encode(errors="surrogatepass"))

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def digest(row: dict[str, Any]) -> str:
    """Of one row's values, as text that both databases give alike."""
    return blake2b(canonical(row), digest_size=SIZE).hexdigest()


def canonical(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)


def moved(total: str, *, away: str = "", to: str = "") -> str:
    """The sum of seals after one of them changed."""
    return f"{(int(total or '0', 16) - int(away or '0', 16) + int(to or '0', 16)) % _MODULUS:0{2 * SIZE}x}"

"""The names our orders carry to the broker and back. `orderRef` is the correlation key: echoed on orders and executions."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from datetime import datetime

from events.order import OrderRole

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
LONGEST = 32  # printable ASCII characters that every client and TWS version echoes whole

_SUFFIX = {OrderRole.ENTRY: "E", OrderRole.STOP: "S", OrderRole.TARGET: "T", OrderRole.EXIT: "X"}


def new_ulid(now: datetime) -> str:
    """26 characters that sort by time; unique by 80 random bits."""
    return _base32((int(now.timestamp() * 1000) << 80) | secrets.randbits(80))


def family_name(prefix: str, intent_id: str) -> str:
    """The stem of an intent's references and the name of its OCA group: unique for ever, because the intent's id is."""
    stem = f"{prefix}{_token(intent_id)}"
    if len(stem) + 2 > LONGEST or not stem.isascii() or not stem.isprintable():
        raise ValueError(f"reference prefix {prefix!r} is too long or not plain ASCII; at most {LONGEST - 28} characters")
    return stem


def order_ref(prefix: str, intent_id: str, role: OrderRole) -> str:
    """`{prefix}{ulid}-{E|S|T|X}`, at most 32 characters."""
    return f"{family_name(prefix, intent_id)}-{_SUFFIX[role]}"


def is_entry(reference: str) -> bool:
    """Whether an order with that reference opens something."""
    return reference.endswith(f"-{_SUFFIX[OrderRole.ENTRY]}")


def _token(intent_id: str) -> str:
    """A ULID as it is; a UUID in 26 characters of base 32; anything else by its hash."""
    if _ULID.fullmatch(intent_id):
        return intent_id
    try:
        return _base32(uuid.UUID(intent_id).int)
    except ValueError:
        return _base32(int.from_bytes(hashlib.blake2b(intent_id.encode(), digest_size=16).digest(), "big"))


def _base32(number: int) -> str:
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))

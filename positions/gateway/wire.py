"""Frames and fields of the TWS socket protocol: bytes in, lists of text fields out, and back.

Knows nothing of what the fields mean. A frame is a 4-byte big-endian length and a payload; a payload is a list of
fields, each closed by a NUL, the last one too. The two server versions spoken here are the newest that unmodified
ibapi 9.81 (157) and ib_insync/ib_async (176) decode completely.
"""

from __future__ import annotations

import math
import re
import struct
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Iterable
from enum import IntEnum, StrEnum

PREFIX = b"API\0"
VERSIONS = (157, 176)
MAX_FRAME = 1 << 20  # the largest frame a well-behaved client sends is below 64 KiB

UNSET_DOUBLE = 1.7976931348623157e308
UNSET_INTEGER = 2147483647
UNSET_DOUBLE_TEXT = "1.7976931348623157E308"  # as TWS writes it: capital E, no plus
UNSET_INTEGER_TEXT = "2147483647"

_HELLO = re.compile(r"v(\d{1,5})(?:\.\.(\d{1,5}))?(?: .*)?", re.DOTALL)


class WireError(Exception):
    """The peer sent bytes that no version of the protocol allows. The connection can not be read any further."""


class Incoming(IntEnum):
    """Message ids of client requests."""

    REQ_MKT_DATA = 1
    CANCEL_MKT_DATA = 2
    PLACE_ORDER = 3
    CANCEL_ORDER = 4
    REQ_OPEN_ORDERS = 5
    REQ_ACCOUNT_UPDATES = 6
    REQ_EXECUTIONS = 7
    REQ_IDS = 8
    REQ_CONTRACT_DETAILS = 9
    REQ_AUTO_OPEN_ORDERS = 15
    REQ_ALL_OPEN_ORDERS = 16
    REQ_MANAGED_ACCTS = 17
    REQ_HISTORICAL_DATA = 20
    CANCEL_HISTORICAL_DATA = 25
    REQ_CURRENT_TIME = 49
    REQ_REAL_TIME_BARS = 50
    CANCEL_REAL_TIME_BARS = 51
    REQ_GLOBAL_CANCEL = 58
    REQ_MARKET_DATA_TYPE = 59
    REQ_POSITIONS = 61
    REQ_ACCOUNT_SUMMARY = 62
    CANCEL_ACCOUNT_SUMMARY = 63
    CANCEL_POSITIONS = 64
    START_API = 71
    REQ_ACCOUNT_UPDATES_MULTI = 76
    CANCEL_ACCOUNT_UPDATES_MULTI = 77
    REQ_SEC_DEF_OPT_PARAMS = 78
    REQ_MATCHING_SYMBOLS = 81
    REQ_HEAD_TIMESTAMP = 87
    CANCEL_HEAD_TIMESTAMP = 90
    REQ_MARKET_RULE = 91
    REQ_PNL = 92
    CANCEL_PNL = 93
    REQ_PNL_SINGLE = 94
    CANCEL_PNL_SINGLE = 95
    REQ_TICK_BY_TICK = 97
    CANCEL_TICK_BY_TICK = 98
    REQ_COMPLETED_ORDERS = 99


PACED = "+PACEAPI"  # a client's wish that too many messages wait instead of ending its connection


def choose_version(hello: str) -> int | None:
    """The highest version we speak inside the client's announced range `v<min>..<max>`; None when there is none."""
    found = _HELLO.fullmatch(hello)
    if found is None:
        raise WireError(f"unreadable hello {hello[:40]!r}")
    low = int(found[1])
    high = int(found[2] or found[1])
    return max((version for version in VERSIONS if low <= version <= high), default=None)


def field_text(value: object) -> str:
    """One value as TWS writes it: integral numbers without a fraction, unset doubles as E308, bools as 1 and 0."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    if math.isinf(value):
        return "Infinity"
    if value > 1e300:
        return UNSET_DOUBLE_TEXT
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(round(value, 10))


def encode_frame(fields: Iterable[object]) -> bytes:
    """A whole frame. Non-ASCII text is escaped, because official clients unescape and refuse raw bytes."""
    text = "\0".join(field_text(field) for field in fields) + "\0"
    payload = text.encode("ascii", errors="backslashreplace")
    return struct.pack(">I", len(payload)) + payload


def decode_payload(payload: bytes) -> list[str]:
    """The fields of a payload. Raises WireError on text that is not NUL-terminated ASCII."""
    if not payload or payload[-1] != 0:
        raise WireError("payload does not end with NUL")
    try:
        return payload[:-1].decode("ascii").split("\0")
    except UnicodeDecodeError as error:
        raise WireError("payload is not ASCII") from error


async def read_prefixed(reader: StreamReader, limit: int = MAX_FRAME) -> bytes | None:
    """The next payload, or None when the peer closed between two frames. Raises WireError on an absurd length."""
    try:
        header = await reader.readexactly(4)
    except IncompleteReadError as error:
        if error.partial:
            raise WireError("connection closed inside a frame header") from error
        return None
    (length,) = struct.unpack(">I", header)
    if not 0 < length <= limit:
        raise WireError(f"frame of {length} bytes refused")
    try:
        return await reader.readexactly(length)
    except IncompleteReadError as error:
        raise WireError("connection closed inside a frame") from error

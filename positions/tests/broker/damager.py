"""A man in the middle of the TWS stream who knows its frames and, while armed, damages what the gateway says.

What he writes can be told from the truth: a frame of another shape, or a number that no account holds. A digit turned into
another digit is not among it; nobody at this end can tell that, and TCP's own checksum is there for it.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random

JUNK = [
    *(b"nan", b"NaN", b"inf", b"-inf", b"1e308", b"1.7976931348623157E308", b"-1e308", b"1e400", b"-17", b"9" * 400),
    *(b"2147483648", b"9223372036854775808", b"\xff\xfe", b"\xc3\x28", "\u20ac\U0001f600".encode(), b"A" * 5000, b"<script>", b"0x10"),
]
SHAPE = ("drop", "insert", "cut", "unknown_id", "unknown_kind", "duplicate", "reorder")  # no word becomes another in its place
GENTLE = ("flip", "replace", "drop", "insert", "cut", "swap", "unknown_id", "unknown_kind", "duplicate", "reorder")
WEDGING = ("oversize", "short_body", "half")  # after these no later length is where it should be
UNKNOWN_ID = b"9" * 9


class Damager:
    """`port` after `start()`. Armed, each frame from the gateway is damaged with probability `share`, by the given `kinds`."""

    def __init__(self, target: int, seed: int) -> None:
        self.target, self.random = target, Random(seed)
        self.kinds: tuple[str, ...] = ()
        self.share = 0.0
        self.kinds_of: dict[bytes, Sequence[str]] = {}
        self.done: Counter[str] = Counter()
        self.sessions = 0
        self._server: asyncio.Server | None = None
        self._links: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: bytes | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, *kinds: str, share: float = 0.5) -> None:
        self.kinds, self.share, self.kinds_of = kinds, share, {}

    def arm_messages(self, kinds_of: Mapping[bytes, Sequence[str]], *, share: float = 0.5) -> None:
        """Damage only these messages (id → the kinds of damage)."""
        self.kinds, self.share, self.kinds_of = (), share, dict(kinds_of)

    def calm(self) -> None:
        self.kinds, self.kinds_of = (), {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            other_reader, other = await asyncio.open_connection("127.0.0.1", self.target)
            self._links += [writer, other]
            await asyncio.gather(self._pass(reader, other), self._damage(other_reader, writer), return_exceptions=True)
        self._tasks.discard(task)

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:  # also after a reset: a session that stays open at the gateway would hold the client id for ever
            writer.close()

    async def _damage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                body = await reader.readexactly(struct.unpack(">I", await reader.readexactly(4))[0])
                kinds = self.kinds_of.get(body.split(b"\0", 1)[0], self.kinds)
                if kinds and self.random.random() < self.share:
                    kind = self.random.choice(kinds)
                    self.done[kind] += 1
                    writer.write(self._damaged(kind, body))
                else:
                    writer.write(framed(body))
        finally:
            writer.close()

    def _damaged(self, kind: str, body: bytes) -> bytes:
        if kind == "duplicate":
            return framed(body) * 2
        if kind == "reorder":
            before, self._held = self._held, body if self._held is None else None
            return b"" if before is None else framed(body) + framed(before)
        if kind == "oversize":
            return struct.pack(">I", self.random.choice([2**31 - 1, 2**32 - 1, 2**24])) + body
        if kind == "short_body":
            return struct.pack(">I", len(body) + self.random.randint(1, 50)) + body
        if kind == "half":
            return framed(body)[: len(body) // 2]
        return framed(self._reshaped(kind, body))

    def _reshaped(self, kind: str, body: bytes) -> bytes:
        random, fields = self.random, body.split(b"\0")[:-1]
        at = random.randrange(1, len(fields)) if len(fields) > 1 else 0
        if kind == "flip":  # the highest bit: ASCII no longer
            where = random.randrange(len(body))
            return body[:where] + bytes([body[where] | 0x80]) + body[where + 1 :]
        if kind == "replace":
            fields[at] = random.choice(JUNK)
        elif kind == "drop":
            del fields[at]
        elif kind == "insert":
            fields.insert(at, random.choice(JUNK))
        elif kind == "cut":
            del fields[at:]
        elif kind == "swap":
            fields[at], fields[-1] = fields[-1], fields[at]
        elif kind == "unknown_id" and len(fields) > 2:
            fields[min(2, len(fields) - 1)] = UNKNOWN_ID
        elif kind == "unknown_kind":
            fields[0] = random.choice([b"0", b"999", b"-1", b"", b"x"])
        return b"\0".join(fields) + b"\0"


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body

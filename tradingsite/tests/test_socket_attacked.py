"""The real web server under frames that no browser sends: each attacker loses its own socket, with a code; nobody else notices."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from events.consumers import CLOSE_BAD_MESSAGE, CLOSE_BINARY, CLOSE_TOO_BIG
from events.feed import publish
from events.models import CommandRecord, EventRecord
from events.tests.test_socket_fuzzed import MESSAGE, expected
from positions.models import OrderRecord
from tradingsite.bench.pages import Page, upgraded
from tradingsite.testing.live import LiveWeb
from tradingsite.testing.patience import PATIENCE, eventually_async

pytestmark = pytest.mark.django_db(transaction=True)

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1002, 1007, 1009  # RFC 6455, 7.4.1
LARGEST = 65_536  # what the web server is started with
GONE = 0  # the server closed the connection without a word


def frame(kind: int, payload: bytes, *, last: bool = True, masked: bool = True, reserved: int = 0, length: int | None = None) -> bytes:
    """One client frame; `length` lies about the payload's."""
    size = len(payload) if length is None else length
    head = bytes((last << 7 | reserved | kind,))
    if size < 126:
        head += bytes((masked << 7 | size,))
    elif size < 65_536:
        head += bytes((masked << 7 | 126,)) + struct.pack(">H", size)
    else:
        head += bytes((masked << 7 | 127,)) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + payload


def text(words: str) -> bytes:
    return frame(TEXT, words.encode())


JOIN = '{"join": ["positions"]}'
ATTACKS: dict[str, tuple[bytes, set[int]]] = {
    "one byte more than 64 KiB": (frame(TEXT, b"x" * (LARGEST + 1)), {TOO_BIG, GONE}),
    "64 KiB": (frame(TEXT, b"x" * LARGEST), {CLOSE_TOO_BIG}),
    "a promise of 2 to the 62 bytes": (frame(TEXT, b"x", length=2**62), {TOO_BIG, PROTOCOL_ERROR, GONE}),
    "a promise of 2 to the 63 bytes": (frame(TEXT, b"x", length=2**63), {TOO_BIG, PROTOCOL_ERROR, GONE}),
    "64 KiB and more in pieces": (
        frame(TEXT, b"x" * 40_000, last=False) + frame(CONTINUATION, b"x" * 40_000, last=False),
        {TOO_BIG, GONE},
    ),
    "no UTF-8": (frame(TEXT, b'{"join": ["\xff\xfe"]}'), {NOT_UTF8, GONE}),
    "a lone surrogate": (frame(TEXT, "\ud800".encode("utf-8", "surrogatepass")), {NOT_UTF8, GONE}),
    "NUL": (frame(TEXT, b"\0"), {CLOSE_BAD_MESSAGE}),
    "nothing": (frame(TEXT, b""), {CLOSE_BAD_MESSAGE}),
    "binary": (frame(BINARY, JOIN.encode()), {CLOSE_BINARY}),
    "an unknown topic": (text('{"join": ["positions", "salaries"]}'), {CLOSE_BAD_MESSAGE}),
    "nesting": (text('{"join":' + "[" * 1_900), {CLOSE_BAD_MESSAGE}),
    "a wish instead of a join": (text('{"name": "FlattenAll", "payload": {}}'), {CLOSE_BAD_MESSAGE}),
    "an unknown kind": (frame(3, b"x"), {PROTOCOL_ERROR, GONE}),
    "a reserved bit": (frame(TEXT, JOIN.encode(), reserved=0x40), {PROTOCOL_ERROR, GONE}),
    "no mask": (frame(TEXT, JOIN.encode(), masked=False), {PROTOCOL_ERROR, GONE}),
    "a long ping": (frame(PING, b"x" * 126), {PROTOCOL_ERROR, GONE}),
    "a ping in pieces": (frame(PING, b"x", last=False), {PROTOCOL_ERROR, GONE}),
    "an end without a beginning": (frame(CONTINUATION, b"x"), {PROTOCOL_ERROR, GONE}),
    "a beginning in a beginning": (frame(TEXT, b"x", last=False) + text(JOIN), {PROTOCOL_ERROR, GONE}),
    "half a close code": (frame(CLOSE, b"\x03"), {PROTOCOL_ERROR, GONE}),
    "another protocol": (b"GET / HTTP/1.1\r\n\r\n" * 3, {PROTOCOL_ERROR, GONE}),
}


class Attacker:
    """One open socket that writes raw bytes and reads what comes of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, cookie: str) -> Attacker:
        return cls(*await asyncio.wait_for(upgraded(port, cookie), PATIENCE))

    async def answer(self, sent: bytes) -> bytes | int:
        """The text that comes back, or the close code, or GONE; raises TimeoutError when nothing does."""
        try:
            self.writer.write(sent)
            async with asyncio.timeout(PATIENCE):
                return await self._read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return GONE
        finally:
            self.writer.close()

    async def _read(self) -> bytes | int:
        while True:
            kind, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            payload = await self.reader.readexactly(length)
            if kind & 0x0F == TEXT:
                return payload
            if kind & 0x0F == CLOSE:
                return int(struct.unpack(">H", payload[:2])[0]) if payload else GONE


@pytest.fixture
def cookie(transactional_db: None) -> str:
    user = get_user_model().objects.create(username="mallory")
    user.groups.add(Group.objects.get_or_create(name="viewer")[0])
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


@pytest.fixture
def nothing_caused(transactional_db: None) -> Iterator[None]:
    def rows() -> tuple[int, ...]:
        return tuple(model.objects.count() for model in (CommandRecord, OrderRecord, EventRecord))

    before = rows()
    yield
    assert rows() == before


def storm(port: int, cookie: str, loop: asyncio.AbstractEventLoop) -> None:
    """Arbitrary messages in good frames: the server says what the consumer alone is known to say."""

    async def send(message: str | bytes) -> bytes | int:
        kind = TEXT if isinstance(message, str) else BINARY
        payload = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
        return await (await Attacker.open(port, cookie)).answer(frame(kind, payload))

    @given(st.one_of(MESSAGE))
    @settings(max_examples=60, deadline=None)
    def one(message: str | bytes) -> None:
        wanted = expected(message)
        got = asyncio.run_coroutine_threadsafe(send(message), loop).result(PATIENCE)
        if isinstance(message, str) and any("\ud800" <= letter <= "\udfff" for letter in message):
            assert got in (NOT_UTF8, GONE), message
        elif len(message.encode() if isinstance(message, str) else message) > LARGEST:
            assert got in (TOO_BIG, GONE), message
        elif isinstance(wanted, int):
            assert got == wanted, message
        else:
            assert isinstance(got, bytes), (message, got)

    one()


def test_whatever_is_sent_ends_its_own_socket_and_the_others_go_on(live_web: LiveWeb, cookie: str, nothing_caused: None) -> None:
    async def story() -> None:
        heard: list[dict[str, Any]] = []
        page = await Page.open(live_web.port, cookie, ["positions"], heard.append)
        for name, (sent, codes) in ATTACKS.items():
            assert await (await Attacker.open(live_web.port, cookie)).answer(sent) in codes, name
        await asyncio.to_thread(storm, live_web.port, cookie, asyncio.get_running_loop())
        in_pieces = frame(TEXT, JOIN[:9].encode(), last=False) + frame(PING, b"") + frame(CONTINUATION, JOIN[9:].encode())
        assert await (await Attacker.open(live_web.port, cookie)).answer(in_pieces) == b'{"kind":"joined","topics":["positions"]}'
        heard.clear()

        async def a_frame() -> bool:
            await asyncio.to_thread(publish, "positions", [{"id": "p1", "v": 1}])
            return any(said.get("topic") == "positions" for said in heard)

        await eventually_async(a_frame, what="the other page still gets its frames")
        page.close()

    pid = live_web.process.pid
    asyncio.run(story())
    assert live_web.process.running
    assert live_web.process.pid == pid
    assert "Traceback" not in live_web.process.output

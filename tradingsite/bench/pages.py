"""Pages without a browser: sockets of a signed-in user that join topics and hand over every frame."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import struct
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from tradingsite.testing.network import LOOPBACK

TEXT, PING, PONG = 1, 9, 10
Heard = Callable[[dict[str, Any]], None]


def sign_in(port: int, user: str, password: str) -> str:
    """The Cookie header of a session."""
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=20) as client:
        form = client.get("/login/").raise_for_status().text
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[0]
        answer = client.post("/login/", data={"username": user, "password": password, "csrfmiddlewaretoken": token})
        if answer.status_code != httpx.codes.FOUND:
            raise PermissionError(f"{user} could not sign in: {answer.status_code}")
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


async def upgraded(port: int, cookie: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that speaks WebSocket from here on, as a page of our own opens it."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = {"Host": f"{LOOPBACK}:{port}", "Origin": f"http://{LOOPBACK}:{port}", "Cookie": cookie, "Upgrade": "websocket"}
    head |= {"Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"GET /ws/ HTTP/1.1\r\n{lines}\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(answer.decode(errors="replace")[:200])
    return reader, writer


class Page:
    """One socket. `heard` is called with every frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Heard) -> None:
        self._reader = reader
        self._writer = writer
        self._heard = heard
        self._task = asyncio.create_task(self._listen())

    @classmethod
    async def open(cls, port: int, cookie: str, topics: Sequence[str], heard: Heard) -> Page:
        page = cls(*await upgraded(port, cookie), heard)
        page._send(TEXT, orjson.dumps({"join": list(topics)}))
        return page

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()

    def _send(self, kind: int, payload: bytes) -> None:
        # A client masks its frames; a mask of zeros leaves them readable. Ours are shorter than 126 bytes.
        self._writer.write(bytes((0x80 | kind, 0x80 | len(payload))) + bytes(4) + payload)

    async def _listen(self) -> None:
        while True:
            kind, length = await self._reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
            payload = await self._reader.readexactly(length)
            if kind & 0x0F == PING:
                self._send(PONG, payload)
            elif kind & 0x0F == TEXT:
                self._heard(orjson.loads(payload))


@asynccontextmanager
async def open_pages(count: int, port: int, cookie: str, topics: Sequence[str], heard: Heard) -> Any:
    """So many pages, joined to `topics`."""
    pages = [await Page.open(port, cookie, topics, heard) for _ in range(count)]
    await asyncio.sleep(1)  # the joins are through
    try:
        yield pages
    finally:
        for page in pages:
            page.close()

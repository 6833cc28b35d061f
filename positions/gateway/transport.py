"""The outgoing half of a socket, with the ways in which a network can be bad on purpose.

Normal: frames are written as they come. `split` sends each frame in small pieces, `merge` holds frames back and sends
several in one piece, `trickle` sends 200 bytes each tenth of a second, `half_open` sends nothing while the socket
stays up, `half_frame` sends half of the next frame and then nothing, `ticks_only` sends prices and no answers. A client
that stops reading is cut once MAX_BUFFER bytes wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from enum import StrEnum

MAX_BUFFER = 8 << 20
_PIECE = {"split": 7, "trickle": 200}
_LENGTH_BYTES = 4  # before each frame
_TICKS = (b"1\0", b"2\0", b"45\0", b"46\0")  # tickPrice, tickSize, tickGeneric, tickString
_PAUSE = {"split": 0.002, "trickle": 0.1, "merge": 0.3}


class Mode(StrEnum):
    NORMAL = "normal"
    SPLIT = "split"
    MERGE = "merge"
    TRICKLE = "trickle"
    HALF_OPEN = "half_open"
    HALF_FRAME = "half_frame"
    TICKS_ONLY = "ticks_only"


class Transport:
    """Writes frames to one client."""

    def __init__(self, writer: asyncio.StreamWriter, mode: Mode = Mode.NORMAL) -> None:
        self.mode = mode
        self.closed = False
        self._writer = writer
        self._gathered: list[bytes] | None = None
        self._waiting = bytearray()
        self._pump: asyncio.Task[None] | None = None

    def write(self, frame: bytes) -> None:
        if self.closed or self.mode is Mode.HALF_OPEN:
            return
        if self.mode is Mode.NORMAL and self._gathered is not None and not self._waiting:
            self._gathered.append(frame)
            return
        if self.mode is Mode.TICKS_ONLY and not frame.startswith(_TICKS, _LENGTH_BYTES):
            return
        if self.mode is Mode.HALF_FRAME:
            self.mode, frame = Mode.HALF_OPEN, frame[: len(frame) // 2]
        if self.mode in (Mode.NORMAL, Mode.HALF_OPEN, Mode.TICKS_ONLY) and not self._waiting:
            self._write(frame)
            return
        self._waiting += frame
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside goes to the socket in one piece, where the network is a good one."""
        gathered: list[bytes] = []
        self._gathered = gathered
        try:
            yield
        finally:
            self._gathered = None
            if gathered and not self.closed:
                self._write(b"".join(gathered))

    async def drain(self) -> None:
        await self._writer.drain()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            with contextlib.suppress(ConnectionError, RuntimeError):
                self._writer.close()

    def abort(self) -> None:
        self.closed = True
        self._writer.transport.abort()

    def _write(self, data: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > MAX_BUFFER:
            self.abort()
            return
        self._writer.write(data)

    async def _run(self) -> None:
        """Sends what waits in the mode's pieces; ends when nothing is left, so normal writing can go on."""
        while self._waiting and not self.closed:
            size = _PIECE.get(self.mode, len(self._waiting))
            await asyncio.sleep(_PAUSE.get(self.mode, 0))
            if self.mode is not Mode.TRICKLE and self.mode is not Mode.SPLIT:
                size = len(self._waiting)
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            if not self.closed:
                self._write(piece)

"""Bodies that are longer than any form of the desk are refused while they arrive, before anything keeps them.

daphne collects a whole request, and puts all of it in memory, before Django sees its first byte and can refuse it. So a
stranger could fill the memory with one POST. Here the limit is kept by the protocol itself, for every path: by the length
that a request declares, and by what has come of one that declares none.
"""

from __future__ import annotations

from typing import Any

from daphne import http_protocol

FORM = 1_100_000  # bytes; a little above Django's own limit, whose page says more
UPLOADS = {b"/broker/statements/": 11_000_000}  # a statement of 10 MB in its form
ANSWER = b"That is too long to be taken. Nothing was read.\n"
REFUSAL = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
)


def most(uri: bytes) -> int:
    """How many bytes a request to `uri` may carry."""
    return UPLOADS.get(uri.partition(b"?")[0], FORM)


class CappedRequest(http_protocol.WebRequest):
    """daphne's request with an end to what it takes."""

    came = 0  # bytes of its body
    is_refused = False

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        if length is not None and length > self._most():
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self.came += len(data)
        if not self.is_refused and self.came > self._most():
            self._refuse()
        if not self.is_refused:
            super().handleContentChunk(data)

    def requestReceived(self, *line: Any) -> None:
        if not self.is_refused:
            super().requestReceived(*line)

    def _most(self) -> int:
        return most(self.channel._path)  # the request itself learns its address when all has come

    def _refuse(self) -> None:
        self.is_refused = True
        self.channel.transport.write(REFUSAL)
        self.channel.loseConnection()


def cap_bodies() -> None:
    """Have daphne make its requests of this kind from now on."""
    http_protocol.WebRequest = CappedRequest

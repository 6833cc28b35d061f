"""A provider that answers whatever bytes it is told to, and answers of the real one bent out of shape."""

from __future__ import annotations

import json
import socketserver
from threading import Thread
from typing import Any

from hypothesis import strategies as st

from tradingsite.testing.patience import PATIENCE

LOOPBACK = "127.0.0.1"
JUNK = st.one_of(
    st.sampled_from([None, True, -1, 0, 1e308, -1e308, 10**400, 2**63, float("nan"), float("inf"), -float("inf"), 4_102_444_800_001]),
    st.sampled_from(["", "NaN", "<script>alert(1)</script>", "\ud800", "\x00", "A" * 5_000, "AAPL'; DROP TABLE", "\u202e", "1e5"]),
    st.sampled_from(["0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z"]),
    st.sampled_from([[], {}, [[]], [None] * 50, {"a": {"b": {}}}, {"sell": 2, "neutral": -1, "buy": 0}]),
    st.floats(),
    st.text(max_size=10),
)
CHANGE = st.tuples(st.sampled_from(["replace", "delete", "rename", "wrap", "grow", "deepen"]), st.integers(0, 10_000), JUNK)
# The bytes of the answer: (what, where, bytes)
DAMAGE = st.tuples(
    st.sampled_from(["cut", "insert", "flip", "double"]),
    st.integers(0, 10**6),
    st.sampled_from([b"\xff", b"\x00", b"\xef\xbb\xbf", b'"signal":"BUY",', b"NaN", b"[" * 200, b"1e999,", b"}"]),
)


class HostileServer:
    """Sends `answer`, the bytes of a whole HTTP response, to everybody."""

    def __init__(self) -> None:
        self.answer = b""
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    if not (part := self.request.recv(65536)):
                        return
                    asked += part
                try:
                    self.request.sendall(outer.answer)
                except OSError:
                    pass  # it had read enough

        self._server = socketserver.ThreadingTCPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.base_url = f"http://{LOOPBACK}:{self._server.server_address[1]}/api/v1"

    def say(self, body: bytes, *, status: int = 200, headers: str = "Content-Type: application/json\r\n") -> None:
        self.answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=PATIENCE)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON document."""
    found, level = [], [document]
    while level:
        node = level.pop()
        children = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        found += [(node, key) for key, _ in children]
        level += [child for _, child in children]
    return found


def bent(document: Any, changes: list[tuple[str, int, Any]]) -> Any:
    """A copy with some values replaced, left out, renamed, wrapped, repeated or buried."""
    document = json.loads(json.dumps(document))
    for what, where, junk in changes:
        spots = places(document)
        if not spots:
            break
        node, key = spots[where % len(spots)]
        value = node[key]
        if what == "delete":
            del node[key]
        elif what == "rename" and isinstance(node, dict):
            node[str(junk)[:40]] = node.pop(key)
        elif what == "wrap":
            node[key] = [value]
        elif what == "grow" and isinstance(value, list):
            node[key] = value * 20
        elif what == "deepen":
            for _ in range(30):
                value = {"x": value}
            node[key] = value
        else:
            node[key] = json.loads(json.dumps(junk))
    return document


def damaged(body: bytes, damages: list[tuple[str, int, bytes]]) -> bytes:
    for what, where, extra in damages:
        at = where % (len(body) + 1)
        if what == "cut":
            body = body[:at]
        elif what == "insert":
            body = body[:at] + extra + body[at:]
        elif what == "flip" and at < len(body):
            body = body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :]
        elif what == "double":
            body = body[:at] + body[at // 2 : at] + body[at:]
    return body

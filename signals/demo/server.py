"""The demo options-flow API on a loopback port: one thread per connection, a few clients, nothing public.

Beside the API under /api/v1/ there is /control/, for tests and for showing what a fault looks like:
POST /control/faults {"name", "value", "tickers", "count"} · DELETE /control/faults · POST /control/clock {"offset"} ·
GET /control/requests. It wants the same key.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from signals.demo.provider import Answer, Provider

LOOPBACK = "127.0.0.1"
MAX_BODY = 64 * 1024


class DemoServer:
    """Serves a provider until `stop()`. Port 0 takes any free one."""

    def __init__(self, provider: Provider, *, port: int = 0) -> None:
        self.provider = provider
        handler = type("BoundHandler", (_Handler,), {"provider": provider})
        self._http = _QuietServer((LOOPBACK, port), handler)
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/api/v1"

    def start(self) -> None:
        """Serve from a thread of its own."""
        self._thread = Thread(target=self.serve, name="demo-flow-api", daemon=True)
        self._thread.start()

    def serve(self) -> None:
        """Serve on this thread until `stop()` is called from another."""
        self._http.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self.provider.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        if self._thread is not None:
            self._thread.join(timeout=5)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in mid-answer is its own affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "DemoFlowAPI"
    sys_version = ""
    timeout = 60
    wbufsize = -1  # headers and body in one packet: two would wait for each other 40 ms
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/control/"):
            return self._control("GET", parts.path)
        key = self.headers.get("X-API-Key", "")
        self._send(self.provider.answer(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), key))

    def do_POST(self) -> None:
        self._control("POST", urlsplit(self.path).path)

    def do_DELETE(self) -> None:
        self._control("DELETE", urlsplit(self.path).path)

    def _control(self, method: str, path: str) -> None:
        if not self.provider.has_key(self.headers.get("X-API-Key", "")):
            return self._send(_json(401, {"error": "Invalid API key"}))
        try:
            self._send(_json(200, self._commanded(method, path, self._body())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._send(_json(400, {"error": str(error)[:200]}))

    def _commanded(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        faults = self.provider.faults
        match method, path:
            case "POST", "/control/faults":
                faults.set(body["name"], body.get("value", True), tickers=tuple(body.get("tickers", ())), count=body.get("count"))
            case "DELETE", "/control/faults":
                faults.clear(body.get("name"))
            case "POST", "/control/clock":
                self.provider.clock_offset = float(body["offset"])
            case "GET", "/control/requests":
                return {"requests": [asdict(seen) for seen in list(self.provider.seen)]}
            case _:
                raise ValueError("no such control")
        return {"on": faults.named(), "offset": self.provider.clock_offset}

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BODY:
            raise ValueError("the body is too large")
        body = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(body, dict):
            raise ValueError("the body is not an object")
        return body

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing per request: the control endpoint lists them."""


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode())

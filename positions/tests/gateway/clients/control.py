"""The gateway's control channel, for programs that cannot import the desk."""

from __future__ import annotations

import json
import socket
from typing import Any


class Control:
    """The gateway's control channel."""

    def __init__(self, port: int, patience: float) -> None:
        """`patience` is how many seconds an answer may take."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self._stream = self._socket.makefile("rw")

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def __call__(self, **command: Any) -> dict[str, Any]:
        self._stream.write(json.dumps(command) + "\n")
        self._stream.flush()
        answer: dict[str, Any] = json.loads(self._stream.readline())
        assert answer["ok"], answer
        return answer

"""What the desk prints: each process's lines behind its name, and the same lines in DATA_DIR/logs."""

import logging
import os
import sys
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "95")
_FILE_BYTES, _FILES_KEPT = 10_000_000, 3


class Output:
    """`say(name, line)` writes to the terminal and to the name's own log file."""

    def __init__(self, folder: Path, *, stream: TextIO | None = None, secrets: Iterable[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._stream = stream or sys.stdout
        self._colour = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._files: dict[str, logging.Handler] = {}  # name → its rotating file
        self._secrets = [secret for secret in secrets if len(secret) >= 8]

    def say(self, name: str, line: str) -> None:
        for secret in self._secrets:
            line = line.replace(secret, "[hidden]")
        self._print(f"{self._paint(name)} {line}")
        self._file(name).emit(logging.makeLogRecord({"msg": line}))

    def announce(self, line: str) -> None:
        """A line for the person at the terminal only: it may hold the password, so it reaches no file."""
        self._print(line)

    def close(self) -> None:
        for handler in self._files.values():
            handler.close()

    def _print(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except BrokenPipeError:
            pass  # the reader of our output left; the log files go on

    def _paint(self, name: str) -> str:
        label = f"{name:<10}|"
        if not self._colour:
            return label
        colour = "1" if name == "desk" else _COLOURS[sum(map(ord, name)) % len(_COLOURS)]
        return f"\x1b[{colour}m{label}\x1b[0m"

    def _file(self, name: str) -> logging.Handler:
        if name not in self._files:
            path = self._folder / f"{name}.log"
            self._files[name] = RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, delay=True)
        return self._files[name]

"""What the processes of a desk hold: memory, threads, files and sockets by /proc, and connections to the database."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tradingsite.chaos import oracle


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a process holds: resident memory in MB, and counts."""

    memory: float
    threads: int
    files: int
    sockets: int

    def __str__(self) -> str:
        return f"{self.memory:.0f} MB, {self.threads} threads, {self.files} files, {self.sockets} sockets"


def sizes(pids: Mapping[str, int | None]) -> dict[str, Size]:
    """Of each child that lives; empty where there is no /proc."""
    return {child: size for child, pid in pids.items() if pid and (size := _size(Path(f"/proc/{pid}")))}


def database_connections(pids: Mapping[str, int | None], database: str) -> int:
    """Open connections to the database: the server's own count, or the file handles on SQLite's main file."""
    if not database.startswith("sqlite:///"):
        with oracle.desk(database) as rows:
            [(count,)] = rows("SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()")
            return int(count)
    file = database.removeprefix("sqlite:///")
    return sum(target == file for pid in pids.values() if pid for target in _targets(Path(f"/proc/{pid}")))


def _size(process: Path) -> Size | None:
    try:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    except OSError:
        return None
    targets = _targets(process)
    memory = float(status["VmRSS"].split()[0]) / 1000
    sockets = sum(target.startswith("socket:") for target in targets)
    return Size(memory=memory, threads=int(status["Threads"]), files=len(targets), sockets=sockets)


def _targets(process: Path) -> list[str]:
    """What its file descriptors point at; one that closes while we look is not counted."""
    found = []
    try:
        for file in (process / "fd").iterdir():
            try:
                found.append(os.readlink(file))
            except OSError:
                continue
    except OSError:
        pass
    return found

"""Real processes of the desk under test: started, watched, killed, always reaped, their output kept."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tradingsite.testing.patience import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
_OURS = (
    "DATA_DIR",
    "DATABASE_URL",
    "LOCK_DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "PORT",
    "DEMO_PASSWORD",
    "STATIC_ROOT",
    "LOG_FORMAT",
)
_OUR_PREFIXES = ("IB_", "FLOW_", "TRADING_", "LIVE_", "DJANGO_", "DESK_", "FAILPOINT", "TEST_")


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """This environment without any setting of the desk, then `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith(_OUR_PREFIXES)}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tradingsite.settings"} | extra


@dataclass(slots=True)
class LiveProcess:
    """One process; `start` after `kill` starts it again with the same command and keeps the log."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log_path: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def manage(cls, name: str, *arguments: str, environment: dict[str, str], folder: Path) -> "LiveProcess":
        """A `manage.py` command."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return cls(name, command, clean_environment(environment), folder / f"{name}.log")

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and nothing else."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait(PATIENCE)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code. Raises TimeoutExpired when it does not go."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE)

    def wait(self, *, seconds: float = PATIENCE) -> int:
        """Exit code of a process that ends by itself. Raises TimeoutExpired when it does not."""
        assert self._process is not None
        return self._process.wait(seconds)

    def wait_for_output(self, text: str) -> None:
        eventually(lambda: self._said(text), what=f"{self.name} prints {text!r}")

    def _said(self, text: str) -> bool:
        if text in self.output:
            return True
        if not self.running:
            raise RuntimeError(f"{self.name} ended before it printed {text!r}:\n{self.output[-2000:]}")
        return False

    def reap(self) -> None:
        """End it and everything it started, whatever state they are in."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(PATIENCE)

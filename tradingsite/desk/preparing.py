"""Runs the preparation (`manage.py prepare_desk`) in a process of its own and passes on what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tradingsite.desk.child import die_with_parent
from tradingsite.desk.services import Plan

LOGIN = "Log in at "  # how the line begins that tells a person how to come in


class NotPrepared(RuntimeError):
    """The preparation failed. It has said why on stderr itself; `code` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"preparing the desk ended with exit code {code}")
        self.code = code


def prepare_beside(plan: Plan, *, base_dir: Path, step: Callable[[str], None]) -> str:
    """Returns the line that tells how to log in, which may hold the password; every other line goes to `step`. Raises NotPrepared."""
    command = [sys.executable, str(base_dir / "manage.py"), "prepare_desk", "--web-url", plan.web_url]
    if plan.own_gateway:
        command += ["--gateway-state", str(plan.gateway_state)]
    login_line = ""
    with subprocess.Popen(
        command,
        env={**os.environ, **plan.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches only us
        preexec_fn=partial(die_with_parent, signal.SIGKILL) if sys.platform == "linux" else None,
    ) as process:
        try:
            for line in process.stdout or ():
                text = line.rstrip("\n")
                if text.startswith(LOGIN):
                    login_line = text
                else:
                    step(text)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0 or not login_line:
        raise NotPrepared(process.returncode)
    return login_line

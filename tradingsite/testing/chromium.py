"""Finds a Chromium on this machine."""

import os
import shutil
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_browser() -> str:
    """Path of a Chromium: CHROMIUM, PATH, the usual place on a Mac, playwright's own download; empty when there is none."""
    given = os.environ.get("CHROMIUM", "")
    found = given or next((path for name in _NAMES if (path := shutil.which(name))), "")
    if not found and _MAC.exists():
        found = str(_MAC)
    downloads = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "~/.cache/ms-playwright")).expanduser()
    own = sorted(downloads.glob("chromium-*/chrome-linux*/chrome"))
    return found or (str(own[-1]) if own else "")

"""The headers of static files. Read by the settings, so it imports nothing of Django."""

from typing import Any


def add_headers(headers: Any, path: str, url: str) -> None:
    """What every static file is sent with: no other site embeds it, and one that is opened by itself runs nothing."""
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Content-Security-Policy"] = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

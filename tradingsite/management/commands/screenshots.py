"""`manage.py screenshots`: pictures of the main pages of a running desk, for the README. Needs the test tools and a Chromium."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tradingsite.environment import kept_text

PAGES = {"overview": "/", "signals": "/signals/", "positions": "/positions/", "orders": "/orders/", "pnl": "/pnl/", "events": "/events/"}
SIZE = {"width": 1366, "height": 900}


class Command(BaseCommand):
    help = "Take pictures of the main pages of a running desk, light and dark."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}", help="Where the desk runs.")
        parser.add_argument("--user", default="demo")
        parser.add_argument("--to", type=Path, default=Path(settings.DATA_DIR) / "screenshots", help="Folder for the pictures.")

    def handle(self, *args: Any, url: str, user: str, to: Path, **options: Any) -> None:
        try:
            from playwright.sync_api import Error, sync_playwright

            from tradingsite.testing.chromium import find_browser
        except ImportError as error:
            raise CommandError("Pictures need the test tools: pip install -r requirements-dev.txt") from error
        password = os.environ.get("DEMO_PASSWORD") or kept_text(Path(settings.DATA_DIR) / "demo_password")
        to.mkdir(parents=True, exist_ok=True)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=find_browser() or None, args=["--no-sandbox"])
                for scheme in ("light", "dark"):
                    context = browser.new_context(viewport=SIZE, color_scheme=scheme, timezone_id="America/New_York")  # type: ignore[arg-type]
                    self._take(context.new_page(), url, user, password, to, scheme)
                browser.close()
        except Error as error:
            raise CommandError(f"No pictures: {error.message.splitlines()[0]}. Is a desk running at {url}?") from error

    def _take(self, page: Any, url: str, user: str, password: str, to: Path, scheme: str) -> None:
        page.goto(f"{url}/login/")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_url(f"{url}/")
        for name, path in PAGES.items():
            page.goto(url + path)
            page.wait_for_timeout(3000)  # the live numbers and charts need a moment to arrive
            target = to / f"{name}-{scheme}.png"
            page.screenshot(path=target)
            self.stdout.write(str(target))

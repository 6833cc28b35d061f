"""A real browser on the real web process, signed in as whoever the test needs."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tradingsite.testing.chromium import find_browser
from tradingsite.testing.fixtures import unavailable
from tradingsite.testing.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

    from tradingsite.testing.live import LiveWeb


def when_steady(control: "Locator") -> "Locator":
    """The control, in view, once a click on it counts: the page takes no click within 700 ms of a change under the pointer."""
    control.scroll_into_view_if_needed()
    element = control.element_handle()
    control.page.wait_for_function("control => !control.isConnected || window.deskSteady(control)", arg=element)
    return control


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    path = find_browser()
    if not path:
        unavailable("no Chromium: install chromium, or set CHROMIUM to its path")
    # The browser's own event loop runs in this thread until the end; the tests' ORM calls are safe, nothing else runs them.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    yield browser_type_launch_args | {"executable_path": path, "args": ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]}
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return browser_context_args | {"viewport": {"width": 1366, "height": 900}, "timezone_id": "America/New_York", "locale": "en-US"}


@pytest.fixture
def context(context: "BrowserContext") -> "BrowserContext":
    """A browser that waits as long as every other part of a test."""
    from playwright.sync_api import expect

    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    return context


class Frames:
    """What the sockets of a page have received, from their opening on: made before the page is opened."""

    def __init__(self, page: "Page") -> None:
        self._page = page
        self.all: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self.all.append(str(frame))))

    def wait_for(self, text: str, *, after: int = 0) -> None:
        """Until a frame with this text came, counted from the `after`th."""
        eventually(lambda: self._hear() and any(text in frame for frame in self.all[after:]), what=f"a frame with {text!r}")

    def _hear(self) -> bool:
        """The browser's events come in while something is asked of it."""
        return self._page.evaluate("true")


def let_pass(page: "Page", milliseconds: int) -> None:
    """Time of the page itself: every timer that it had set for sooner has fired, however slow the machine is."""
    page.evaluate("milliseconds => new Promise((over) => setTimeout(over, milliseconds))", milliseconds)


@pytest.fixture
def make_user(transactional_db: None) -> Callable[..., Any]:
    """`make_user("ann", role="trader", password=...)`: a person in that role's group; admins are staff."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group

    def make(name: str, *, role: str = "trader", password: str = "correct horse battery") -> Any:
        user = get_user_model().objects.create(
            username=name, is_staff=role == "admin", password=make_password(password, hasher="pbkdf2_sha256")
        )
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def sign_in(live_web: "LiveWeb") -> Callable[..., None]:
    """`sign_in(context, user)`: give a browser context that user's session."""
    from django.test import Client

    def put_cookie(context: "BrowserContext", user: Any) -> None:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        for name, morsel in client.cookies.items():
            context.add_cookies([{"name": name, "value": morsel.value, "url": live_web.url, "httpOnly": True}])

    return put_cookie


@pytest.fixture
def trader_page(page: "Page", live_web: "LiveWeb", make_user: Callable[..., Any], sign_in: Callable[..., None]) -> "Page":
    """A page on the overview, signed in as a trader."""
    sign_in(page.context, make_user("trader-of-the-test", role="trader"))
    page.goto(live_web.url)
    return page

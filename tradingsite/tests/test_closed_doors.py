"""Doors that nobody should use: odd filters of the admin, sockets that do not exist, static files seen as pages."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from channels.testing import WebsocketCommunicator
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from events.routing import NO_SUCH_SOCKET, is_own_origin
from tradingsite.asgi import application
from tradingsite.testing.patience import PATIENCE
from tradingsite.tests.page_data import event_row, held_position, person

BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["data__contains=x", "metadata__regex=(", "pk__in=x", "id__regex=(", "password__startswith=a", "username__regex=("]
)
@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model._meta.label_lower)
def test_no_filter_but_the_declared_ones_reaches_a_list_of_the_admin(model: Any, query: str) -> None:
    event_row()
    held_position()
    client = Client(raise_request_exception=False)
    client.force_login(person("admin"), backend=BACKEND)
    meta = model._meta
    answer = client.get(f"{reverse(f'admin:{meta.app_label}_{meta.model_name}_changelist')}?{query}")
    assert answer.status_code in (302, 400, 403), answer.status_code


@pytest.mark.django_db
def test_the_declared_filters_of_the_admin_work() -> None:
    event_row()
    client = Client()
    client.force_login(person("admin"), backend=BACKEND)
    assert client.get(reverse("admin:events_eventrecord_changelist") + "?event_type=FillEvent").status_code == 200
    assert client.get(reverse("admin:auth_user_changelist") + "?groups__id__exact=1&is_staff__exact=1").status_code == 200
    assert client.get(reverse("admin:signals_watchlistentry_changelist") + "?enabled__exact=1").status_code == 200


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/x", "/admin/", "/ws/%00", "/../ws/"])
async def test_a_socket_that_does_not_exist_is_closed_and_breaks_nothing(path: str) -> None:
    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost")]
    socket = WebsocketCommunicator(application, path, headers=headers)
    connected, code = await socket.connect(timeout=PATIENCE)
    assert (connected, code) == (False, NO_SUCH_SOCKET)


@pytest.mark.parametrize(
    ("https", "origin", "own"), [(False, "http", True), (False, "https", False), (True, "https", True), (True, "http", False)]
)
def test_the_scheme_of_the_page_that_opens_a_socket_is_compared(settings: Any, https: bool, origin: str, own: bool) -> None:
    settings.HTTPS = https
    assert is_own_origin(f"{origin}://localhost:8000", "localhost:8000") is own


@pytest.mark.browser
def test_static_files_are_for_our_own_pages_and_run_nothing_by_themselves(transactional_db: None, redis_server: Any, live_web: Any) -> None:
    for path in ("/static/img/mark.svg", "/static/js/theme.js"):
        headers = httpx.get(f"{live_web.url}{path}", timeout=PATIENCE).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"

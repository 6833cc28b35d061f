"""Everything a browser can send to any address: never a crash, nothing out of range stored, no order caused.

The addresses come from the URLconf and the fields of a form from the forms its view makes, so a new one is in by itself;
a field that nobody has named a good value for fails here.
"""

from __future__ import annotations

import math
import unicodedata
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models, transaction
from django.test import Client
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import MAX_PRICE, MAX_QUANTITY
from events.models import CommandRecord
from events.step_up import FIELD
from positions.forms_exits import RULES
from positions.models import FillRecord, OperatorTask, OrderRecord, RiskLock, StatementCheck
from signals.models import SignalRecord
from tradingsite.testing.redis_server import RedisServer
from tradingsite.tests.test_every_address import TABLE, ids, page, visitor

__all__ = ["ids"]  # a fixture

pytestmark = pytest.mark.django_db
LONG = "9" * 5_000
NUMBERS = [
    "NaN",
    "-NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "1e308",
    "1e999999999",
    "-0",
    "-1",
    "0",
    "1e-400",
    LONG,
    f"0.{LONG}",
    "0x10",
    "1_0",
]
WORDS = [
    "", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "١٢٣", "\u202e123\u202c", "\u200f", "\ufeff", "\u2028", "\x1b[31m", "\x7f",
    "<script>alert(1)</script>", "{{ 7*7 }}", "%s%n", "' OR 1=1 --", "=1+1", "../../etc/passwd", "\U0010ffff", "é" * 2_000, "x" * 100_000,
    "true", "null", "[]", "{}", "2026-13-45", "9999-12-31", "0000-00-00",
]  # fmt: skip
WORST = ["\x00", "\ud800", "1e999999999", "NaN", LONG, "\u202e", "x" * 100_000]
# With everything else as it should be, so that what passes the form meets the view and the database.
ALONE = ["", "\x00", "\ud800", "NaN", "Infinity", "1e308", "1e-400", "-0", LONG, "١٢٣", "a\u202eb\x1b", "<b>", "\U0010ffff", "x" * 100_000]
GOOD: dict[str, Any] = {
    "key": None, "price": "151", "quantity": "10", "reason": "because", "note": "done", "typed": "RESUME", "symbol": "NVDA",
    "stop_loss": "95", "take_profit": "190", "position_id": "pos-NVDA", "row": "order:X", "ours": "1", "theirs": "2", "order_id": "x",
    "verdict": "over", "file": "", "day": "2026-03-02", "version": "1", "entry": "500", "stop": "480", "target": "540",
    "ask": "", "shown_entry": "500",
    "shown_quantity": "10", "shown_stop": "480", "shown_target": "540", "kind": "percent", "value": "5", "at_r": "1", "minutes": "30",
    "at_session_end": "on", "percent": "50", "limit_price": "151", "username": "ann", "password": "secret", FIELD: "secret",
    "old_password": "secret", "new_password1": "secret", "new_password2": "secret",
    "outcome": "found", "account": "0123456789abcdef",
}  # fmt: skip
FORMLESS = {"confirm_person": [FIELD], "first_password": ["new_password1", "new_password2"]}  # passwords are taken as they were typed
ASKED = [
    "page",
    "symbol",
    "first",
    "last",
    "side",
    "result",
    "state",
    "role",
    "range",
    "month",
    "type",
    "id",
    "quiet",
    "before",
    "after",
    "next",
]
PAGES = [name for name, address in TABLE.items() if address.get[3] == 200]
POSTED = [name for name, address in TABLE.items() if address.post[3] != 405 and name != "logout"]
# One address is as many forms as there are rules.
FORMS = [name for name in POSTED if name != "positions:exit_rule"] + [f"positions:exit_rule {rule}" for rule in RULES]


def path_of(name: str, made: dict[str, str]) -> str:
    name, _, rule = name.partition(" ")
    made = made | {"rule": rule or "break_even"}
    return reverse(name, args=[made[kind] for kind in TABLE[name].ids])


@pytest.fixture
def desk(ids: dict[str, str]) -> dict[str, str]:
    """One of everything, a lock that stands and a task that waits among it."""
    now = utc_now()
    lock = RiskLock.objects.create(
        cause="test", code="daily_loss", scope="account", reason="lost", since=now, until=now + timedelta(hours=1)
    )
    task = OperatorTask.objects.create(account=SIMULATED_ACCOUNT, key="test", kind="split", title="A split?", opened_at=now)
    return ids | {"lock": str(lock.pk), "task": str(task.pk)}


class Walker:
    """Sends as an admin, who may do everything, and takes back whatever came of it."""

    def __init__(self, role: str = "admin") -> None:
        self.client: Client = visitor(role)
        self.sent = 0

    def get(self, path: str, query: dict[str, Any] | None = None) -> None:
        with transaction.atomic():
            self._judge(self.client.get(f"{path}?{encoded(query or {})}"), path, query)
            transaction.set_rollback(True)

    def post(self, path: str, body: dict[str, Any], **more: Any) -> int:
        with transaction.atomic():
            before = (OrderRecord.objects.count(), FillRecord.objects.count())
            if any(isinstance(value, SimpleUploadedFile) for value in body.values()):
                answer = self.client.post(path, {sendable(name): sendable(value) for name, value in body.items()}, **more)
            else:
                answer = self.client.post(path, encoded(body), content_type="application/x-www-form-urlencoded", **more)
            self._judge(answer, path, body)
            assert (OrderRecord.objects.count(), FillRecord.objects.count()) == before, f"{path} made an order of {body!r:.200}"
            for text in stored() if answer.status_code < 400 else ():
                assert_plain(text, path, body)
            transaction.set_rollback(True)
        return answer.status_code

    def _judge(self, answer: Any, path: str, sent: Any) -> None:
        self.sent += 1
        assert answer.status_code < 500, f"{answer.status_code} of {path} to {sent!r:.300}"
        if hasattr(answer, "render"):
            assert "\x00" not in answer.content.decode()


def encoded(values: dict[str, Any]) -> str:
    """As a form or a query, lone surrogates too."""
    return urlencode(values, doseq=True, errors="surrogatepass")


def sendable(value: Any) -> Any:
    """As a part of a multipart body, which the test client writes in strict UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def stored() -> Iterator[Any]:
    """What people's words and numbers became."""
    for record in CommandRecord.objects.all():
        yield from (record.key, *leaves(record.payload))
    for model in (RiskLock, OperatorTask, SignalRecord, StatementCheck):
        for row in model._default_manager.values(*[field.name for field in model._meta.fields if not isinstance(field, models.JSONField)]):
            yield from row.values()


def leaves(value: Any) -> Iterator[Any]:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(item) if isinstance(item, (dict, list)) else (item,)


def assert_plain(value: Any, path: str, sent: Any) -> None:
    said = f"{value!r:.100} was stored by {path} of {sent!r:.200}"
    if isinstance(value, str):
        assert not [letter for letter in value if unicodedata.category(letter) in ("Cc", "Cf", "Cs")], said
        assert len(value) <= 1_000, said
    if isinstance(value, (float, Decimal)) and not isinstance(value, bool):
        assert math.isfinite(value), said
        assert abs(value) <= max(MAX_PRICE, MAX_QUANTITY, 1e12), said


def fields_of(walker: Walker, path: str) -> list[str]:
    """The fields of every form that the view makes of a POST."""
    seen: dict[str, None] = {}
    made = forms.BaseForm.__init__

    def remember(form: Any, *args: Any, **kwargs: Any) -> None:
        made(form, *args, **kwargs)
        seen.update(dict.fromkeys(form.fields))

    with patch.object(forms.BaseForm, "__init__", remember):
        walker.post(path, {"key": uuid.uuid4().hex})
    return list(seen)


def good(fields: list[str], path: str) -> dict[str, Any]:
    unknown = [field for field in fields if field not in GOOD]
    assert not unknown, f"say what a good value of {unknown} of {path} is"
    own = {"key": uuid.uuid4().hex, "file": SimpleUploadedFile("a.xml", b"<FlexQueryResponse/>"), "typed": typed_for(path)}
    return {field: own.get(field, GOOD[field]) for field in fields}


def typed_for(path: str) -> str:
    return "FLATTEN" if "flatten" in path else "RESUME"


@pytest.mark.parametrize("name", FORMS)
def test_no_form_of_any_address_breaks_it(name: str, desk: dict[str, str]) -> None:
    walker, path = Walker("stranger" if name in ("login", "first_password") else "admin"), path_of(name, desk)
    fields = fields_of(walker, path) or FORMLESS.get(name, [])
    assert fields, f"{path} reads no form: nothing is checked before it is used"
    for value in [*NUMBERS, *WORDS]:
        walker.post(path, dict.fromkeys(fields, value))
    for field in fields:
        for value in ALONE:
            walker.post(path, good(fields, path) | {field: value})
        without = good(fields, path)
        del without[field]
        walker.post(path, without)
        walker.post(path, good(fields, path) | {field: [str(GOOD[field]), "again", "\x00"]})
    for value in WORST:
        walker.post(path, dict.fromkeys(fields, value), headers={"accept": "application/json"})
        walker.post(path, good(fields, path) | {value: value, "is_staff": "1", "epoch": value})
    assert walker.sent > len(NUMBERS) + len(WORDS) + len(ALONE) * len(fields)


BODIES = [
    (b"reason=%ff%fe&key=\xff\xfe&note=%00", "application/x-www-form-urlencoded"),
    (b"key=%ED%A0%80&reason=%ED%A0%80", "application/x-www-form-urlencoded"),
    (b"&" * 10_000, "application/x-www-form-urlencoded"),
    (b"a=1&" * 2_000, "application/x-www-form-urlencoded"),
    (b"reason=x", "application/x-www-form-urlencoded; charset=utf-16"),
    (b"reason=x", "application/x-www-form-urlencoded; charset=\xc3\xa9"),
    (b"[" * 100_000, "application/json"),
    (b'{"key": 1e999}', "application/json"),
    (b"--x\r\nnot a part", "multipart/form-data; boundary=x"),
    (b"--x\r\n", "multipart/form-data"),
    (b'--x\r\nContent-Disposition: form-data; name="key\x00"\r\n\r\nv\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    (b'--x\r\nContent-Disposition: form-data; name="file"; filename="\x00.xml"\r\n\r\nv\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    (b'--x\r\nContent-Disposition: form-data; name="reason"\r\n\r\n\xff\xfe\xed\xa0\x80\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    (b"x" * 2_000_000, "application/x-www-form-urlencoded"),
    (b"", ""),
]


@pytest.mark.parametrize("name", POSTED)
def test_no_body_of_any_kind_breaks_an_address(name: str, desk: dict[str, str]) -> None:
    walker, path = Walker(), path_of(name, desk)
    for body, kind in BODIES:
        with transaction.atomic():
            answer = walker.client.generic("POST", path, body, content_type=kind)
            assert answer.status_code < 500, f"{answer.status_code} of {path} to {kind} {body[:60]!r}"
            transaction.set_rollback(True)


@pytest.mark.parametrize("name", PAGES)
def test_no_query_of_any_page_breaks_it(name: str, desk: dict[str, str]) -> None:
    walker, path = Walker(), path_of(name, desk)
    for value in [*ALONE[:-1], "2026-13-45", "9999-12-31", "-9" * 30, "9" * 30, "[]", "x" * 5_000]:
        walker.get(path, dict.fromkeys(ASKED, value))
    for field in ASKED:
        for value in ("\x00", "9" * 30):
            walker.get(path, {field: ["2", value]})


PATHS = ["%00", "%ED%A0%80", "%FF%FE", "..%2F..", "%2e%2e/", "9" * 30, "-1", "%E2%80%AE", "a" * 4_000, "%0d%0aSet-Cookie:x=1", "<b>"]


@pytest.mark.parametrize("name", [name for name, address in TABLE.items() if address.ids])
def test_no_path_of_any_address_breaks_it(name: str, desk: dict[str, str]) -> None:
    walker = Walker()
    parts = path_of(name, {kind: "123123" if value.isdigit() else "HERE" for kind, value in desk.items()})
    for hostile in PATHS:
        path = parts.replace("HERE", hostile).replace("123123", hostile)
        walker.get(path)
        walker.post(path, {"key": uuid.uuid4().hex})


@pytest.mark.parametrize("cookie", ['"abcdefghij\\000"', "x" * 8_000, '"\\377\\000"', "=;=;", "\xe9" * 40])
def test_no_cookie_breaks_the_desk(cookie: str) -> None:
    client = Client(raise_request_exception=False)
    for name in ("sessionid", "csrftoken", "messages", "__Host-sessionid"):
        for path in ("/", "/healthz", "/login/", "/trading/"):
            answer = client.get(path, headers={"cookie": f"{name}={cookie}"})
            assert answer.status_code < 500, (name, path)
        assert client.post("/trading/halt", {"key": "x"}, headers={"cookie": f"{name}={cookie}"}).status_code < 500


@pytest.mark.parametrize("path", ["/signals/%00/", "/signals/?symbol=%00", "/live/%00", "/admin/?q=%00"])
def test_a_nul_is_refused_with_words_before_anything_is_looked_up(path: str) -> None:
    answer = visitor("admin").get(path)
    assert (answer.status_code, answer.json()) == (400, {"error": "That cannot be read: it has a NUL character in it."})


def test_the_walk_reaches_every_form(live_redis: RedisServer) -> None:
    """All that takes a POST, whoever added it."""
    assert set(POSTED) | {"logout"} == {name for name, address in TABLE.items() if address != page(*address.ids) and address.post[3] != 405}

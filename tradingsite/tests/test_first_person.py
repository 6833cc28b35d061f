"""The first person of a desk: the demo user where nothing is at stake, a link that works once everywhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.test import Client
from django.urls import reverse

from events.step_up import FIELD
from tradingsite.desk import preparation

WEB = "http://127.0.0.1:8000"
SOUND = "ochre lantern gravel tuba"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, db: None, settings: Any) -> Any:
    """Prepare a desk in a mode as `manage.py desk` does; returns the line that says how to come in."""
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    monkeypatch.setattr(preparation, "call_command", lambda *args, **more: None)
    monkeypatch.setattr(preparation, "damage", lambda: "")
    monkeypatch.setattr(preparation, "_collect_static_files", lambda *args: None)

    def run(mode: str, demo_password: str = "") -> str:
        return preparation.prepare(
            data_dir=tmp_path, web_url=WEB, gateway_state=None, mode=mode, step=lambda text: None, demo_password=demo_password
        )

    return run


def test_the_demo_user_is_made_once_and_what_was_done_to_it_stays(start: Any, tmp_path: Path) -> None:
    line = start("simulated")
    password = (tmp_path / "demo_password").read_text()
    assert line == f"Log in at {WEB} as demo with password {password}"
    assert start("simulated") == line
    demo = User.objects.get(username="demo")
    assert demo.groups.get() == Group.objects.get(name="admin")
    demo.set_password("something of my own, much longer")
    demo.save()
    assert start("simulated") == f"Log in at {WEB}"
    assert start("simulated", demo_password=SOUND) == f"Log in at {WEB}"
    demo.refresh_from_db()
    assert demo.check_password("something of my own, much longer")
    demo.is_active = False
    demo.save()
    assert "/welcome/" in start("simulated")
    demo.refresh_from_db()
    assert not demo.is_active


@pytest.mark.parametrize("weak", ["a", "123456789012", "123456789012345", "qwertyuiopasdfgh", "demodemodemodemo"])
def test_a_weak_demo_password_is_refused_with_the_reason(start: Any, weak: str) -> None:
    with pytest.raises(CommandError, match=r"^DEMO_PASSWORD is refused: .+\."):
        start("simulated", demo_password=weak)
    assert not User.objects.exists()


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_desk_with_an_account_has_no_demo_user(start: Any, mode: str) -> None:
    start("simulated")
    line = start(mode, demo_password=SOUND)
    assert not User.objects.get(username="demo").is_active
    assert "demo" not in line
    assert SOUND not in line


def test_a_simulated_desk_that_others_can_reach_has_none_either(start: Any, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["desk.example"]
    assert "/welcome/" in start("simulated")
    assert not User.objects.filter(username="demo").exists()


def test_the_link_of_a_first_start_leads_to_a_password_and_works_once(start: Any) -> None:
    line = start("paper")
    link = re.search(rf"{WEB}(/welcome/\S+)", line)
    assert link, line
    client = Client(headers={"host": "localhost"})
    page = client.get(link[1], follow=True)
    assert "Choose your password" in page.content.decode()
    where = page.redirect_chain[-1][0]
    for weak in ("short", "123456789012345", "adminadminadmin1"):
        refused = client.post(where, {"new_password1": weak, "new_password2": weak})
        assert refused.status_code == 200
        assert "field-error" in refused.content.decode()
    assert client.post(where, {"new_password1": SOUND, "new_password2": SOUND})["Location"] == reverse("login")
    assert client.post(reverse("login"), {"username": "admin", "password": SOUND})["Location"] == reverse("overview")
    assert client.get(reverse("admin:index")).status_code == 200
    assert "This link is not good any more" in client.get(link[1], follow=True).content.decode()
    assert start("paper") == f"Log in at {WEB}", "somebody can come in: no more links"


def test_the_link_is_void_after_an_hour(start: Any, settings: Any) -> None:
    link = re.search(rf"{WEB}(/welcome/\S+)", start("live"))
    assert link
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "This link is not good any more" in Client(headers={"host": "localhost"}).get(link[1], follow=True).content.decode()


@pytest.mark.parametrize("weak", ["ochre lantern", "aaaaaaaaaaaaaaaa", "passwordpassword", "tradingdeskdesk"])
def test_passwords_that_are_guessed_soon_are_refused(weak: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(weak, User(username="ann.smith"))


@pytest.mark.parametrize("strong", [SOUND, "Ж" * 3 + "лошадь скрепка облако", "x7!kQz#2mVp9&Lw4", f"{SOUND} " * 20])
def test_long_passwords_of_any_script_are_taken(strong: str) -> None:
    validate_password(strong, User(username="ann.smith"))


def test_no_password_is_written_down_with_a_failed_try(client: Client, settings: Any, db: None) -> None:
    settings.STEP_UP = True
    settings.AXES_ENABLED = True
    user = User.objects.create_user("ann", password=SOUND, is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    typed = "what I typed by mistake"
    client.post(reverse("confirm_person"), {FIELD: typed})
    client.post(reverse("trading_flatten"), {"key": "k", "typed": "FLATTEN", "reason": "", FIELD: typed})
    Client().post(reverse("login"), {"username": "ann", "password": typed})
    written = [*AccessAttempt.objects.values(), *AccessFailureLog.objects.values()]
    assert written
    assert typed not in str(written)

"""People of the page tests: one for each role, logged in."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client


def logged_in(role: str, *, name: str = "", **client: object) -> Client:
    """A client logged in as a new user of the role: viewer, trader or admin."""
    user = get_user_model().objects.create_user(username=name or role, password="a-long-password-1", is_staff=role == "admin")
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    browser = Client(**client)  # type: ignore[arg-type]
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser

"""Fixtures of the events tests: people in roles, and a signed-in session."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    """`person("ann", role="trader")`: a user in that role's group; admins are staff."""

    def make(name: str = "ann", *, role: str = "trader") -> Any:
        user = get_user_model().objects.create_user(name, password="correct horse battery", is_staff=role == "admin")
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        return user

    return make

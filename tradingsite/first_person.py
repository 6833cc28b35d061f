"""How the first person comes in where there is no demo user: a link that works once, for an hour, and leads to a password."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.db.models import Q
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

FIRST_USER = "admin"


def first_link(web_url: str) -> str | None:
    """The link for the first admin; None when somebody can come in as one already.

    The user is made without a password. Its token is signed, good for PASSWORD_RESET_TIMEOUT, and void once the password is chosen.
    """
    users = get_user_model().objects
    admins = users.filter(Q(groups__name="admin") | Q(is_superuser=True), is_active=True)
    if any(user.has_usable_password() for user in admins):
        return None
    user, made = users.get_or_create(username=FIRST_USER, defaults={"is_staff": True})
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        user.groups.add(Group.objects.get(name="admin"))
    elif not user.is_active or user.has_usable_password():
        return None  # somebody switched it off, or took its role away: the console decides
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return web_url + reverse("first_password", args=[uid, default_token_generator.make_token(user)])

"""Rows of one account in the admin: the one the bar shows, as on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from positions.accounts import shown_account

if TYPE_CHECKING:
    Base = ModelAdmin[Any]
else:
    Base = object


class OfTheShownAccount(Base):
    """Mixed in before a ModelAdmin whose rows have an `account`."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(account=shown_account(request))

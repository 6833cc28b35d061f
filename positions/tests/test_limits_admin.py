"""Limits in the admin: validated, remembered with before and after, and closed to those who may not set them."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from events.models import EventRecord
from positions.models import LimitChange, RiskLimits, ScopedLimitRecord

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client):
    user = User.objects.create_user("chief", password="a long password", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user)
    return client


def form(**changes):
    limits = RiskLimits.objects.get()
    fields = {f.name: getattr(limits, f.name) for f in RiskLimits._meta.concrete_fields if f.name not in ("id", "updated_at")}
    return {name: value for name, value in (fields | {"change_reason": "because"} | changes).items() if value is not False}


def save(client, **changes):
    return client.post(reverse("admin:positions_risklimits_change", args=[RiskLimits.objects.get().pk]), form(**changes))


def test_an_edit_is_kept_with_before_after_who_and_why(admin):
    assert save(admin, daily_loss_limit="2500", require_margin=False, change_reason="earnings week").status_code == 302
    kept = {c.field: (c.old, c.new, c.changed_by, c.reason, c.limit) for c in LimitChange.objects.all()}
    assert kept == {
        "daily_loss_limit": ("10000", "2500", "chief", "earnings week", "risk limits"),
        "require_margin": ("True", "False", "chief", "earnings week", "risk limits"),
    }
    assert EventRecord.objects.filter(event_type="LimitChangedEvent").count() == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("daily_loss_limit", "-1"),
        ("daily_loss_limit", "0"),
        ("max_open_risk", "NaN"),
        ("max_order_notional", "Infinity"),
        ("max_drawdown_pct", "inf"),
        ("max_margin_pct", "101"),
        ("max_order_quantity", "-5"),
        ("change_reason", ""),
    ],
)
def test_what_is_negative_not_finite_or_without_a_reason_is_refused(admin, field, value):
    answer = save(admin, **{field: value})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not LimitChange.objects.exists()


def test_a_limit_of_one_symbol_is_made_changed_and_deleted_on_record(admin):
    address = reverse("admin:positions_scopedlimitrecord_add")
    assert admin.post(address, {"scope": "symbol", "name": "gme", "max_order_quantity": 10, "change_reason": "wild"}).status_code == 302
    limit = ScopedLimitRecord.objects.get()
    assert (limit.name, limit.max_order_quantity) == ("GME", 10)
    assert admin.post(reverse("admin:positions_scopedlimitrecord_delete", args=[limit.pk]), {"post": "yes"}).status_code == 302
    assert list(LimitChange.objects.filter(field="max_order_quantity").order_by("id").values_list("old", "new")) == [("", "10"), ("10", "")]


def test_a_limit_that_limits_nothing_is_refused(admin):
    answer = admin.post(reverse("admin:positions_scopedlimitrecord_add"), {"scope": "symbol", "name": "GME", "change_reason": "x"})
    assert answer.status_code == 200
    assert not ScopedLimitRecord.objects.exists()


def test_staff_without_the_role_edits_no_limit(client):
    user = User.objects.create_user("clerk", password="a long password", is_staff=True)
    user.groups.add(Group.objects.get(name="trader"))
    client.force_login(user)
    assert save(client, max_order_quantity=1).status_code == 403

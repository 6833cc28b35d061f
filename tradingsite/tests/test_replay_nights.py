"""The nightly comparison folds what is new from a sealed checkpoint, and within seven nights finds whatever was done to the old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from events.clock import utc_now
from events.encoding import to_row
from events.journal import insert_rows
from events.long_work import claim
from events.models import EventRecord, JournalCheck, JournalCheckpoint, JournalHead, JournalSegment
from events.system import EquityEvent
from positions.models import EquityPoint, FillRecord, OrderRecord, PositionRecord
from positions.store import project
from tradingsite.replay import WORK, Replay, advance, renew, verification
from tradingsite.tasks import verify_journal

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "STRETCH", 100)


def happen(account: str = "A") -> None:
    event = EquityEvent(account=account, equity=1.0, cash=1.0, timestamp=utc_now())
    project([(event, insert_rows([to_row(event)], epoch=0)[0])], 0)


def second(model: Any) -> Any:
    return model.objects.filter(pk=model.objects.order_by("pk").values_list("pk", flat=True)[1])


def change_event() -> None:
    event = EventRecord.objects.filter(event_type="OrderStatusEvent").order_by("seq")[3]  # no row's last word
    EventRecord.objects.filter(pk=event.pk).update(data=event.data | {"reason": "another one"})


def extra_point() -> None:
    point = EquityPoint.objects.order_by("at")[3]
    EquityPoint.objects.create(account=point.account, at=point.at.replace(microsecond=7), equity=1, cash=1)


BY_HAND: dict[str, Callable[[], object]] = {
    "an order": lambda: second(OrderRecord).update(state="working"),
    "an order's version": lambda: second(OrderRecord).update(version=99),
    "a fill": lambda: second(FillRecord).update(price=Decimal("1.23")),
    "a fee": lambda: second(FillRecord).update(commission=Decimal("99")),
    "a position": lambda: second(PositionRecord).update(realized_pnl=Decimal("1000000")),
    "an equity point": lambda: second(EquityPoint).update(equity=1),
    "an equity point too many": extra_point,
    "an equity point too few": lambda: EquityPoint.objects.filter(at=EquityPoint.objects.latest("at").at).delete(),
    "an event": change_event,
    "what an event is about": lambda: EventRecord.objects.filter(event_type="FillEvent").update(symbol="FORGED"),
}
AT_ONCE: dict[str, Callable[[], object]] = {
    "an event gone": lambda: EventRecord.objects.filter(pk=EventRecord.objects.order_by("seq")[7].pk).delete(),
    "an order gone": lambda: OrderRecord.objects.filter(pk=OrderRecord.objects.order_by("pk")[1].pk).delete(),
    "a fill gone": lambda: FillRecord.objects.filter(pk=FillRecord.objects.order_by("pk")[1].pk).delete(),
    "an order made up": lambda: second(OrderRecord).update(order_id="made-up"),
    "the checkpoint's memory": lambda: second(JournalHead).update(digest="0" * 32),
    "the checkpoint's memory with its seal": lambda: second(JournalHead).update(digest="0" * 32, seal="1" * 32),
    "how far it went": lambda: JournalCheckpoint.objects.update(seq=5),
}


def nights(most: int) -> list[Replay]:
    """One night after the other until one finds something."""
    found: list[Replay] = []
    while len(found) < most and all(replay.equal for replay in found):
        found.append(advance(seconds=None))
    return found


def test_whatever_was_changed_by_hand_is_found_when_all_parts_had_their_night(week: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "NIGHTS", 2)
    assert renew().differences == []
    assert all(replay.equal for replay in nights(verification.NIGHTS + 1)), "nothing was changed"
    missed = []
    for what, do in (BY_HAND | AT_ONCE).items():
        with transaction.atomic():
            do()
            if nights(1 if what in AT_ONCE and "memory" not in what else verification.NIGHTS)[-1].equal:
                missed.append(what)
            transaction.set_rollback(True)
    assert missed == []
    assert advance().equal


def test_a_night_folds_only_what_is_new_and_compares_what_it_changed(week: None) -> None:
    renew()
    before = EventRecord.objects.count()
    happen()
    replay = advance()
    assert (replay.equal, replay.events) == (True, before + 1)
    assert replay.scope.startswith("1 new events, ")
    happen()
    EquityPoint.objects.filter(account="A", at=EquityPoint.objects.filter(account="A").latest("at").at).update(cash=2)
    assert [difference.column for difference in advance().differences] == ["cash"]


def test_a_clock_that_was_set_back_for_a_while_makes_no_difference() -> None:
    for minutes in (0, 1, -500, -499, 2, 3):
        event = EquityEvent(account="A", equity=1.0, cash=1.0, timestamp=utc_now() + timedelta(minutes=minutes))
        project([(event, insert_rows([to_row(event)], epoch=0)[0])], 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "STRETCH", 3)
        assert renew().differences == []
        assert [replay.equal for replay in nights(3)] == [True, True, True]
        EquityPoint.objects.create(account="A", at=utc_now() - timedelta(minutes=100), equity=1, cash=1)
        assert [difference.column for difference in renew().differences] == ["row"]


def test_what_a_night_has_no_time_for_the_next_one_goes_on_with(week: None) -> None:
    replay = advance(seconds=0)
    assert (replay.events, replay.equal) == (100, True)
    assert replay.scope == "100 new events, the night's time was over, the rest follows"
    assert advance(seconds=0).events == 200
    replay = advance()
    assert (replay.events, replay.equal) == (EventRecord.objects.count(), True)


def test_a_comparison_that_was_killed_goes_on_from_its_last_sealed_stretch(week: None) -> None:
    steps = 0

    def killed(*_: Any, fence: bool = False) -> None:
        nonlocal steps
        steps += fence
        if steps == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        renew(killed)
    assert JournalCheckpoint.objects.get().seq == JournalSegment.objects.latest("first_seq").last_seq
    assert JournalSegment.objects.count() == 3
    replay = advance()
    assert (replay.equal, replay.events) == (True, EventRecord.objects.count())


def test_a_changed_event_is_told_by_every_full_run_until_somebody_accepts_it(week: None) -> None:
    renew()
    change_event()
    for _ in range(2):
        assert [difference.column for difference in renew().differences] == ["seal"]
    call_command("replay", "--verify", "--seal-anew")
    assert renew().equal


def test_another_secret_key_is_named_and_a_full_run_seals_anew(week: None) -> None:
    renew()
    settings.SECRET_KEY, kept = "another" * 10, settings.SECRET_KEY
    try:
        assert "sealed with another SECRET_KEY" in str(advance().differences)
        assert renew().equal
        assert advance().equal
    finally:
        settings.SECRET_KEY = kept


def test_the_console_and_the_nightly_task_never_run_beside_each_other() -> None:
    claim(WORK, limit=timedelta(hours=1))
    assert verify_journal() is None
    with pytest.raises(Exception, match="verify-journal is being done by"):
        call_command("replay", "--verify")
    assert not JournalCheck.objects.exists()


def test_the_scope_of_the_last_comparison_is_kept(week: None) -> None:
    call_command("replay", "--verify")
    full = JournalCheck.objects.get()
    assert (full.scope, full.full_at) == ("all of it, from the first event", full.checked_at)
    verify_journal()
    assert JournalCheck.objects.get().full_at == full.full_at

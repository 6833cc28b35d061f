"""Long work has one holder at a time, who shows life; a holder that stopped loses it, and cannot go on with it."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection, transaction

from events import long_work
from events.clock import utc_now
from events.long_work import ClaimLost, Held, TimeIsUp, claim, working
from events.models import LongWork

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def every_step_beats(monkeypatch):
    monkeypatch.setattr(long_work, "BEAT_SECONDS", 0)


def fall_silent(name, ago=2 * long_work.STALE):
    LongWork.objects.filter(name=name).update(heartbeat_at=utc_now() - ago)


def test_a_second_runner_returns_at_once_and_says_who_holds_it_and_how_far_it_is():
    with working("count", limit=HOUR) as work:
        work.step("3 of 9")
        with pytest.raises(Held, match=r"count is being done by .+, process \d+ since .+ \(3 of 9\)"):
            claim("count", limit=HOUR)
        claim("something else", limit=HOUR)
    row = LongWork.objects.get(name="count")
    assert (row.state, row.progress) == ("done", "")
    claim("count", limit=HOUR)


def test_a_claim_without_a_heartbeat_is_taken_over_and_its_first_holder_stops_at_its_next_step():
    hung = claim("count", limit=HOUR)
    fall_silent("count")
    with working("count", limit=HOUR) as work:
        with pytest.raises(ClaimLost):
            hung.step("still there")
        hung.end(LongWork.State.FAILED, "what the old one thinks")
        work.outcome = "9 counted"
        work.step()
    row = LongWork.objects.get(name="count")
    assert (row.state, row.outcome) == ("done", "9 counted")


def test_a_step_keeps_the_claim_alive():
    work = claim("count", limit=HOUR)
    fall_silent("count")
    work.step("1 of 2")
    with pytest.raises(Held):
        claim("count", limit=HOUR)


def test_a_clock_that_was_set_back_does_not_hold_the_work_for_hours():
    claim("count", limit=HOUR)
    fall_silent("count", ago=-5 * HOUR)
    claim("count", limit=HOUR)


def test_a_slot_of_time_is_done_once_but_again_when_it_failed():
    with pytest.raises(ZeroDivisionError), working("count", limit=HOUR, slot=7):
        1 / 0  # noqa: B018
    assert LongWork.objects.get(name="count").outcome == "ZeroDivisionError: division by zero"
    with working("count", limit=HOUR, slot=7):
        pass
    with pytest.raises(Held, match="was done by"):
        claim("count", limit=HOUR, slot=7)
    with working("count", limit=HOUR):  # a person asks for no slot
        pass
    claim("count", limit=HOUR, slot=8)


def test_work_beyond_its_own_limit_ends_itself():
    with pytest.raises(TimeIsUp), working("count", limit=timedelta(0)) as work:
        work.step()
    assert LongWork.objects.get(name="count").state == "failed"


def test_a_fence_undoes_what_a_holder_without_a_claim_was_about_to_destroy():
    hung = claim("count", limit=HOUR)
    LongWork.objects.create(name="a row to be destroyed")
    fall_silent("count")
    claim("count", limit=HOUR)

    @transaction.atomic
    def destroy():
        LongWork.objects.filter(name="a row to be destroyed").delete()
        hung.step(fence=True)

    with pytest.raises(ClaimLost):
        destroy()
    assert LongWork.objects.filter(name="a row to be destroyed").exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_the_same_moment_exactly_one_holds_it():
    LongWork.objects.create(name="count")
    gate, got = Barrier(4), []

    def take():
        try:
            gate.wait()
            claim("count", limit=HOUR)
            got.append("held")
        except Held:
            got.append("refused")
        finally:
            connection.close()

    for round_number in range(1, 11):
        got.clear()
        threads = [Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == ["held", "refused", "refused", "refused"]
        row = LongWork.objects.get()
        assert row.claim == round_number
        LongWork.objects.update(state="done")

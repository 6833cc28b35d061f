"""No task can be started a second time beside itself because its message was delivered again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery

from events.long_tasks import LONG_TASKS, long_task
from events.long_work import Work, claim
from events.models import LongWork
from tradingsite import tasks
from tradingsite.celery import app
from tradingsite.testing.live import keep_log
from tradingsite.testing.patience import eventually
from tradingsite.testing.processes import LiveProcess, clean_environment

LONG = {
    "signals.tasks.fill_gaps",
    "signals.tasks.prune_flow",
    "tradingsite.tasks.archive_old_rows",
    "tradingsite.tasks.back_up_database",
    "tradingsite.tasks.clear_expired_sessions",
    "tradingsite.tasks.optimize_database",
    "tradingsite.tasks.thin_equity_points",
    "tradingsite.tasks.verify_journal",
}


def ours() -> list[str]:
    app.loader.import_default_modules()
    return sorted(name for name in app.tasks if name.startswith(("signals.tasks.", "tradingsite.tasks.")))


def visibility_timeout() -> float:
    return float(app.conf.broker_transport_options["visibility_timeout"])


@pytest.mark.parametrize("name", ours())
def test_no_task_that_is_acknowledged_late_may_outlive_the_visibility_timeout(name: str) -> None:
    task = app.tasks[name]
    if name in LONG:
        assert name in LONG_TASKS, "claimed by a row"
        assert (task.acks_late, task.reject_on_worker_lost) == (False, False)
        assert task.soft_time_limit < task.time_limit
    else:
        assert name not in LONG_TASKS, "name it above"
        assert app.conf.task_acks_late
        limits = (task.soft_time_limit or app.conf.task_soft_time_limit, task.time_limit or app.conf.task_time_limit)
        assert max(limits) < visibility_timeout() / 2


def test_both_places_say_the_same_visibility_timeout() -> None:
    assert app.conf.visibility_timeout == visibility_timeout()


def test_all_named_tasks_exist() -> None:
    assert set(ours()) >= LONG


@pytest.mark.django_db
def test_a_task_whose_work_is_held_elsewhere_does_nothing() -> None:
    claim("clear-expired-sessions", limit=timedelta(minutes=1))
    assert tasks.clear_expired_sessions() is None
    assert LongWork.objects.get().claim == 1


@pytest.mark.django_db
def test_two_schedulers_have_a_slot_done_once_and_a_person_may_ask_again() -> None:
    done: list[str] = []

    @long_task(name="of-a-slot", limit=timedelta(minutes=1), every=timedelta(days=36500))
    def counted(work: Work) -> None:
        done.append("once")

    counted.apply()
    counted.apply()
    assert done == ["once"]
    counted()
    assert done == ["once", "once"]


@pytest.fixture
def celery_of_short_sight(request: pytest.FixtureRequest, tmp_path: Path, live_environment: dict[str, str]) -> Iterator[Celery]:
    """The desk's Celery, which delivers after one second again what was not acknowledged; hands back its client."""
    command = [sys.executable, "-m", "celery", "-A", "tradingsite.tests.redelivery", "worker", "-P", "threads", "-c", "6", "-l", "INFO"]
    process = LiveProcess("celery", command, clean_environment(live_environment), tmp_path / "celery.log")
    keep_log(request.node, process)
    process.start()
    with Celery(broker=live_environment["REDIS_URL"], set_as_current=False) as client:
        try:
            process.wait_for_output("ready.")
            yield client
        finally:
            (tmp_path / "until").touch()
            process.reap()


@pytest.mark.processes
def test_a_message_that_is_delivered_again_starts_no_second_run_of_long_work(celery_of_short_sight: Celery, tmp_path: Path) -> None:
    late, long, until = tmp_path / "late", tmp_path / "long", tmp_path / "until"
    celery_of_short_sight.send_task("tradingsite.tests.redelivery.long_lasting", (str(long), str(until)))
    eventually(long.exists, what="the long task runs")
    celery_of_short_sight.send_task("tradingsite.tests.redelivery.acknowledged_late", (str(late), str(until)))

    def starts(file: Path) -> int:
        return len(file.read_text().splitlines()) if file.exists() else 0

    eventually(lambda: starts(late) > 1, what="an unacknowledged message is delivered again")
    assert starts(long) == 1
    assert LongWork.objects.get(name="of-a-test").state == "running"
    until.touch()
    eventually(lambda: LongWork.objects.get(name="of-a-test").state == "done", what="the long task ends")

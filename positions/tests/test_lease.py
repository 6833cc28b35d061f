"""One worker only: the lock, the epoch, and what a worker with a stale epoch may no longer write."""

import environ
import pytest
from django.db import connection
from django.db.utils import ConnectionHandler

from events.journal import Fenced
from events.models import WorkerLease
from positions.lease import AdvisoryLock, FileLock, LeaseBusy, check_epoch, take_epoch, worker_lock, write_health

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_second_holder_is_refused_until_the_first_is_gone(tmp_path):
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(LeaseBusy, match="another worker is running"):
        second.acquire()
    assert not second.held()
    first.release()
    second.acquire()
    assert second.held()
    second.release()


def test_the_refusal_names_the_process_that_holds_the_lock(tmp_path):
    take_epoch()
    holder = FileLock(tmp_path / "lock")
    holder.acquire()
    with pytest.raises(LeaseBusy, match=r"process \d+ on "):
        FileLock(tmp_path / "lock").acquire()
    holder.release()


def test_an_advisory_lock_ends_with_its_connection(postgres_url):
    source = ConnectionHandler({"default": environ.Env.db_url_config(postgres_url)})["default"]
    first, second = AdvisoryLock("test", source), AdvisoryLock("test", source)
    first.acquire()
    with pytest.raises(LeaseBusy):
        second.acquire()
    assert first.held()
    first._session.connection.close()
    assert not first.held()
    second.acquire()
    second.release()
    first.release()


def test_the_lock_fits_the_database():
    expected = AdvisoryLock if connection.vendor == "postgresql" else FileLock
    assert isinstance(worker_lock(), expected)


def test_each_start_takes_a_newer_epoch_and_fences_the_older_ones():
    old = take_epoch()
    check_epoch(old)
    new = take_epoch()
    assert new == old + 1
    with pytest.raises(Fenced):
        check_epoch(old)
    with pytest.raises(Fenced):
        write_health(old, "ready", {})
    write_health(new, "ready", {"mode": "simulated"})
    assert WorkerLease.objects.get().health == {"mode": "simulated"}

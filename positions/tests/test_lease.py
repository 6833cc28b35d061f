"""One worker only: the lock, the epoch, and what a worker with a stale epoch may no longer write."""

import environ
import pytest
from django.db import connection
from django.db.utils import ConnectionHandler

from events.journal import Fenced
from events.models import WorkerLease
from positions.lease import AdvisoryLock, FileLock, LeaseBusy, LockUnsafe, check_epoch, take_epoch, worker_lock, write_health
from tradingsite.testing.postgres_server import empty_postgres_database

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


def test_an_advisory_lock_ends_with_its_connection(postgres_url, eventually):
    source = ConnectionHandler({"default": environ.Env.db_url_config(postgres_url)})["default"]
    first, second = AdvisoryLock("test", source), AdvisoryLock("test", source)
    first.acquire()
    with pytest.raises(LeaseBusy):
        second.acquire()
    assert first.held()
    first._session.connection.close()
    assert not first.held()

    def taken():
        """The server frees the lock when it notices that the connection is gone."""
        try:
            second.acquire()
        except LeaseBusy:
            return False
        return True

    eventually(taken)
    second.release()
    first.release()


@pytest.fixture
def link():
    """`link(url)`: a connection of its own, as the desk's processes have them."""
    made = []

    def make(url):
        made.append(ConnectionHandler({"default": environ.Env.db_url_config(url)})["default"])
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_lock_through_a_pooler_in_transaction_mode_is_refused_and_leaves_none_behind(postgres_url, pooled, link):
    by_pool = pooled(postgres_url, "transaction")
    for _ in range(2):
        with pytest.raises(LockUnsafe, match="set LOCK_DATABASE_URL to PostgreSQL's own address"):
            AdvisoryLock("pooled", link(by_pool)).acquire()
    lock = AdvisoryLock("pooled", link(postgres_url))
    lock.acquire()
    lock.release()


def test_the_pool_is_seen_to_be_shared_also_while_others_use_it(postgres_url, pooled, link):
    by_pool = pooled(postgres_url, "transaction")
    busy = [link(by_pool) for _ in range(4)]
    for index, other in enumerate(busy):
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
        if index % 2:  # holds a connection of the pool for itself
            other.set_autocommit(False)
            with other.cursor() as cursor:
                cursor.execute("SELECT 1")
    with pytest.raises(LockUnsafe):
        AdvisoryLock("pooled", link(by_pool)).acquire()
    for other in busy[1::2]:
        other.rollback()


def test_a_direct_address_for_the_lock_refuses_the_second_worker_of_a_pooled_desk(postgres_url, pooled, link):
    by_pool = pooled(postgres_url, "transaction")
    first = AdvisoryLock("pooled", link(by_pool), direct=link(postgres_url))
    second = AdvisoryLock("pooled", link(by_pool), direct=link(postgres_url))
    first.acquire()
    assert first.held()
    with pytest.raises(LeaseBusy):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_pooler_that_gives_each_session_its_own_connection_is_good_enough(postgres_url, pooled, link):
    by_pool = pooled(postgres_url, "session")
    first, second = AdvisoryLock("session", link(by_pool)), AdvisoryLock("session", link(by_pool))
    first.acquire()
    with pytest.raises(LeaseBusy):
        second.acquire()
    first.release()


def test_a_direct_address_of_another_database_is_refused(postgres_url, link):
    elsewhere = empty_postgres_database()
    with pytest.raises(LockUnsafe, match="does not lead to the database of DATABASE_URL"):
        AdvisoryLock("elsewhere", link(postgres_url), direct=link(elsewhere)).acquire()


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

"""The ground the other tests stand on."""

import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection

from tradingsite.testing import postgres_server
from tradingsite.testing.live import test_database_url
from tradingsite.testing.network import accepts
from tradingsite.testing.patience import NeverHappened, eventually, eventually_async
from tradingsite.testing.redis_server import RedisServer


def test_eventually_returns_the_first_true_answer_and_names_what_never_came() -> None:
    answers = iter([0, 0, 3])
    assert eventually(lambda: next(answers), every=0) == 3
    with pytest.raises(NeverHappened, match="pigs fly"):
        eventually(lambda: False, seconds=0, what="pigs fly")


async def test_eventually_async_takes_coroutines_and_treats_a_failed_assertion_as_not_yet() -> None:
    calls: list[int] = []

    async def third_time_lucky() -> bool:
        calls.append(1)
        assert len(calls) >= 3
        return True

    assert await eventually_async(third_time_lucky, every=0)


def test_a_killed_redis_comes_back_on_the_same_address(live_redis: RedisServer) -> None:
    assert live_redis.url == settings.REDIS_URL
    assert live_redis.answers()
    live_redis.kill()
    assert not live_redis.answers()
    live_redis.start()
    assert live_redis.answers()


@pytest.mark.django_db(transaction=True)
def test_a_transactional_test_sees_committed_rows_in_the_database_the_processes_get() -> None:
    assert connection.settings_dict["NAME"] in test_database_url()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", [1, 2])
def test_a_row_made_after_a_transactional_test_takes_an_id_that_is_free(turn: int) -> None:
    assert Group.objects.exists()  # put back under the ids that migrations gave
    Group.objects.create(name=f"turn {turn}")


def test_a_throwaway_postgresql_can_be_had(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url) as link:
        assert link.execute("select 1").fetchone() == (1,)


def test_tests_write_into_a_temporary_folder_only() -> None:
    assert "desk-tests-" in str(settings.DATA_DIR)
    assert not accepts(1)


def test_threads_that_ask_at_once_get_one_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def start(binaries: object) -> str:
        time.sleep(0.05)
        started.append(f"server {len(started)}")
        return started[-1]

    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr(postgres_server, "_start", start)
    monkeypatch.setattr(postgres_server, "_binaries", lambda: None)
    monkeypatch.setattr(postgres_server, "_server_url", functools.cache(postgres_server._server_url.__wrapped__))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: postgres_server.postgres_server_url(), range(4)))
    assert answers == started * 4

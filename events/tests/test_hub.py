"""Frames on their way to browsers: through the real channel layer, one subscription per process, one slow socket alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http.cookies import SimpleCookie
from typing import Any

import orjson
import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.test import Client

from events.feed import Feed, encode, publish, recheck_sockets
from events.hub import CLOSE_TOO_SLOW, OUTBOX_LIMIT, Hub, Socket, the_hub
from events.routing import is_own_origin, websocket_application
from events.system import TradingStateEvent
from tradingsite.testing.patience import PATIENCE, eventually_async

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = b"http://localhost"


async def off_loop(function: Callable[[], Any]) -> Any:
    """Run `function` in a thread that leaves no database connection behind."""

    def run() -> Any:
        try:
            return function()
        finally:
            connection.close()

    return await asyncio.to_thread(run)


def cookie_of(user: Any) -> str:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    cookies: SimpleCookie = client.cookies
    return cookies[settings.SESSION_COOKIE_NAME].value


class Tab(WebsocketCommunicator):
    """Waits for what it is sent as long as every other test does."""

    async def connect(self, timeout: float = PATIENCE) -> tuple[bool, Any]:
        return await super().connect(timeout)

    async def receive_output(self, timeout: float = PATIENCE) -> Any:
        return await super().receive_output(timeout)

    async def receive_from(self, timeout: float = PATIENCE) -> Any:
        return await super().receive_from(timeout)

    async def disconnect(self, code: int = 1000, timeout: float = PATIENCE) -> None:
        await super().disconnect(code, timeout)


def browser(session: str = "", *, origin: bytes = ORIGIN, host: bytes = b"localhost") -> Tab:
    headers = [(b"host", host), (b"origin", origin)]
    if session:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode()))
    return Tab(websocket_application, "/ws/", headers=headers)


@pytest.fixture
async def tab(person: Callable[..., Any], live_redis: Any) -> AsyncIterator[Tab]:
    """A signed-in browser with an open socket."""
    session = await off_loop(lambda: cookie_of(person()))
    communicator = browser(session)
    connected, _ = await communicator.connect()
    assert connected
    yield communicator
    await communicator.disconnect()


async def join(tab: Tab, *topics: str) -> None:
    await tab.send_to(text_data=orjson.dumps({"join": list(topics)}).decode())
    answer = orjson.loads(await tab.receive_from())
    assert answer == {"kind": "joined", "topics": sorted(topics)}


async def frame(tab: Tab, send: Callable[[], Any]) -> dict[str, Any]:
    """The first frame that arrives, sending until one does: what is sent before the subscription stands is lost by nature."""

    async def sent_and_arrived() -> bool:
        await send()
        return not await tab.receive_nothing()

    await eventually_async(sent_and_arrived, what="a frame")
    return orjson.loads(await tab.receive_from())


async def test_rows_reach_the_pages_that_joined_their_topic_and_no_other(tab: Tab) -> None:
    await join(tab, "positions")
    feed = Feed(epoch=7)

    async def send() -> None:
        feed.put("orders", "o1", {"id": "o1", "v": 1})
        feed.put("positions", "p1", {"id": "p1", "v": 1})
        feed.put("positions", "p1", {"id": "p1", "v": 2})
        await feed.flush()

    got = await frame(tab, send)
    assert (got["topic"], got["kind"], got["epoch"]) == ("positions", "rows", 7)
    assert got["rows"] == [{"id": "p1", "v": 2}], "only the newest row of a key is sent"


async def test_a_heartbeat_and_the_tape_arrive_as_they_were_put(tab: Tab) -> None:
    await join(tab, "health", "tape")
    feed = Feed()

    async def beat() -> None:
        feed.heartbeat({"worker": {"state": "ok"}})
        await feed.flush()

    got = await frame(tab, beat)
    assert got["kind"] == "heartbeat"
    assert got["rows"] == [{"worker": {"state": "ok"}}]
    feed.tape(TradingStateEvent(state="halted", reason="<b>why</b>", changed_by="ann"), 41)
    await feed.flush()
    got = orjson.loads(await tab.receive_from())
    while got["topic"] != "tape":
        got = orjson.loads(await tab.receive_from())
    assert (got["rows"][0]["seq"], got["rows"][0]["text"]) == (41, "Trading halted by ann: <b>why</b>")


async def test_celery_and_the_web_publish_without_a_loop(tab: Tab) -> None:
    await join(tab, "signals")
    got = await frame(tab, lambda: asyncio.to_thread(publish, "signals", [{"id": "s1"}]))
    assert got["rows"] == [{"id": "s1"}]


async def test_joining_again_replaces_the_topics(tab: Tab) -> None:
    await join(tab, "positions", "orders")
    await join(tab, "orders")
    hub = the_hub()
    hub.deliver("positions", encode("positions", []))
    hub.deliver("orders", encode("orders", []))
    assert orjson.loads(await tab.receive_from())["topic"] == "orders", "one socket's frames keep their order"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"text_data": "not json"}, 4400),
        ({"text_data": '{"join": ["passwords"]}'}, 4400),
        ({"text_data": '{"join": "positions"}'}, 4400),
        ({"text_data": '{"join": [[]]}'}, 4400),
        ({"text_data": "[1]"}, 4400),
        ({"text_data": '{"join": [], "more": 1}'}, 4400),
        ({"text_data": '{"join": [' + '"positions",' * 500 + '"orders"]}'}, 4009),
        ({"bytes_data": b"\x00\x01"}, 4003),
    ],
)
async def test_whatever_is_not_a_join_closes_the_socket(tab: Tab, message: dict[str, Any], code: int) -> None:
    await tab.send_to(**message)
    assert await tab.receive_output() == {"type": "websocket.close", "code": code}


async def test_who_is_not_signed_in_is_closed_with_4401() -> None:
    stranger = browser()
    await stranger.connect()
    assert await stranger.receive_output() == {"type": "websocket.close", "code": 4401}


@pytest.mark.parametrize("origin", [b"", b"http://evil.example", b"http://localhost:9999", b"null", b"http://localhost.evil.example"])
async def test_a_page_of_another_origin_is_refused_even_with_a_valid_session(person: Callable[..., Any], origin: bytes) -> None:
    session = await off_loop(lambda: cookie_of(person()))
    connected, code = await browser(session, origin=origin).connect()
    assert not connected
    assert code == 4403


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://localhost", "localhost", True),
        ("https://localhost", "localhost", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("http://evil.example", "evil.example", False),
        ("ftp://localhost", "localhost", False),
        ("http://localhost/page", "localhost", False),
        ("http://user@localhost", "localhost", False),
        ("http://[", "[", False),
        ("", "", False),
    ],
)
def test_an_origin_is_ours_only_if_it_is_exactly_the_host_that_was_asked(origin: str, host: str, own: bool) -> None:
    assert is_own_origin(origin, host) is own


async def test_signing_out_closes_the_socket(person: Callable[..., Any], live_redis: Any, eventually_async: Any) -> None:
    def sign_in() -> tuple[Client, str, int]:
        client = Client()
        client.force_login(person("bob"), backend="django.contrib.auth.backends.ModelBackend")
        return client, client.cookies[settings.SESSION_COOKIE_NAME].value, int(client.session[SESSION_KEY])

    client, session, user_id = await off_loop(sign_in)
    tab = browser(session)
    await tab.connect()
    await the_hub().recheck(user_id)
    await join(tab, "positions")  # answered: it was not closed
    await off_loop(client.logout)

    async def closed() -> bool:
        await asyncio.to_thread(recheck_sockets, user_id)
        return not await tab.receive_nothing()

    await eventually_async(closed)
    assert await tab.receive_output() == {"type": "websocket.close", "code": 4401}
    await tab.disconnect()


async def test_a_user_who_was_deactivated_is_closed_at_the_next_look_even_without_redis(person: Callable[..., Any]) -> None:
    def sign_in() -> tuple[Any, str]:
        user = person("carol")
        return user, cookie_of(user)

    user, session = await off_loop(sign_in)
    tab = browser(session)
    await tab.connect()
    user.is_active = False
    await off_loop(user.save)
    await the_hub().recheck()
    assert await tab.receive_output() == {"type": "websocket.close", "code": 4401}
    await tab.disconnect()


async def test_a_slow_socket_is_closed_and_holds_up_nobody() -> None:
    hub, heard, closed = Hub(), [], []

    async def never(text: str) -> None:
        await asyncio.Event().wait()

    async def hear(text: str) -> None:
        heard.append(text)

    async def close(code: int) -> None:
        closed.append(code)

    slow, quick = Socket(never, close), Socket(hear, close)
    for socket in (slow, quick):
        hub.join(socket, frozenset({"positions"}))
    for n in range(OUTBOX_LIMIT + 10):
        hub.deliver("positions", str(n))
        await asyncio.sleep(0)
    assert heard[-1] == str(OUTBOX_LIMIT + 9)
    assert slow.closing == CLOSE_TOO_SLOW
    assert quick.closing is None
    for socket in (slow, quick):
        hub.remove(socket)


async def test_one_process_subscribes_once_however_many_pages_are_open(
    person: Callable[..., Any], live_redis: Any, eventually_async: Any
) -> None:
    session = await off_loop(lambda: cookie_of(person()))
    pages = [browser(session) for _ in range(5)]
    for tab in pages:
        await tab.connect()
        await join(tab, "positions")
    layer = get_channel_layer()
    await eventually_async(lambda: any("positions" in group for group in layer.groups))
    assert [len(channels) for group, channels in layer.groups.items() if "positions" in group] == [1]
    publish_once = Feed()
    publish_once.put("positions", "p", {"id": "p"})
    await publish_once.flush()
    for tab in pages:
        assert orjson.loads(await tab.receive_from())["rows"] == [{"id": "p"}]
        await tab.disconnect()


async def test_pages_hear_again_after_redis_was_killed_and_started(tab: Tab, live_redis: Any) -> None:
    await join(tab, "positions")
    feed = Feed()

    async def send() -> None:
        feed.put("positions", "p1", {"id": "p1"})
        await feed.flush()

    await frame(tab, send)
    await asyncio.to_thread(live_redis.kill)
    feed.put("positions", "p2", {"id": "p2"})
    await feed.flush()
    assert feed.counters["frames_lost"] == 1, "a dead Redis neither raises nor blocks"
    await asyncio.to_thread(live_redis.start)
    before = feed.counters["frames_sent"]
    got = await frame(tab, send)
    assert got["rows"][-1] == {"id": "p1"}
    assert got["n"] > before + 1, "the gap in n is how a page knows that it has to read a snapshot"


async def test_rows_put_while_redis_is_away_are_kept_for_the_first_frame_after_it(live_redis: Any) -> None:
    feed = Feed()
    await asyncio.to_thread(live_redis.kill)
    for version in (1, 2):
        feed.put("positions", "p1", {"id": "p1", "v": version})
        await feed.flush()
    feed.put("positions", "p2", {"id": "p2", "v": 1})
    await asyncio.to_thread(live_redis.start)
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("desk.positions", channel)
    await feed.flush()
    message = await asyncio.wait_for(layer.receive(channel), PATIENCE)
    assert orjson.loads(message["text"])["rows"] == [{"id": "p1", "v": 2}, {"id": "p2", "v": 1}]


async def test_the_running_feed_sends_at_its_pace_and_once_more_at_the_end(live_redis: Any) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("desk.positions", channel)
    feed, loop = Feed(interval=0.01), asyncio.get_running_loop()
    began = loop.time()
    running = asyncio.create_task(feed.run())
    for n in range(200):
        feed.put("positions", "p", {"v": n})
        await asyncio.sleep(0.0005)
    feed.put("positions", "p", {"v": "last"})
    feed.stop()
    await running
    assert feed.counters["frames_sent"] <= (loop.time() - began) / 0.01 + 2  # the first, and the one at the end
    rows: list[list[dict[str, Any]]] = []
    async with asyncio.timeout(PATIENCE):
        while not rows or rows[-1] != [{"v": "last"}]:
            rows.append(orjson.loads((await layer.receive(channel))["text"])["rows"])
    assert all(len(row) == 1 for row in rows)


async def test_what_moved_until_a_frame_leaves_is_in_that_frame(live_redis: Any) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("desk.positions", channel)
    feed, price = Feed(), {"now": 100.0}
    feed.before_each_frame(lambda: feed.put("positions", "p", {"price": price["now"]}))
    price["now"] = 101.0
    await feed.flush()
    assert orjson.loads((await layer.receive(channel))["text"])["rows"] == [{"price": 101.0}]


async def test_an_update_that_fails_holds_no_frame_back(live_redis: Any) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("desk.positions", channel)
    feed = Feed()

    def fails() -> None:
        raise RuntimeError("a defect")

    feed.before_each_frame(fails)
    feed.put("positions", "p", {"v": 1})
    await feed.flush()
    assert orjson.loads((await layer.receive(channel))["text"])["rows"] == [{"v": 1}]
    assert feed.counters["updates_failed"] == 1


async def test_a_row_put_while_the_last_frame_is_on_its_way_still_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, on_its_way, may_arrive = [], asyncio.Event(), asyncio.Event()

    async def slow(group: str, message: dict[str, Any]) -> bool:
        sent.append(orjson.loads(message["text"])["rows"])
        on_its_way.set()
        await may_arrive.wait()
        return True

    monkeypatch.setattr("events.feed.send_to_group", slow)
    feed = Feed(interval=0.001)
    feed.put("positions", "p", {"v": "first"})
    running = asyncio.create_task(feed.run())
    await on_its_way.wait()
    feed.put("positions", "p", {"v": "last"})
    feed.stop()
    may_arrive.set()
    await running
    assert sent == [[{"v": "first"}], [{"v": "last"}]]

"""Whatever a browser sends up the socket is a join that is answered, or the end of that socket with a code; nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.consumers import CLOSE_BAD_MESSAGE, CLOSE_BINARY, CLOSE_TOO_BIG, MESSAGE_LIMIT
from events.feed import Feed
from events.hub import the_hub
from events.live import TOPICS
from events.models import CommandRecord, EventRecord
from events.tests.test_hub import Tab, browser, cookie_of, frame, join, off_loop, tab  # noqa: F401 - tab is a fixture
from tradingsite.testing.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # NUL and lone surrogates too
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT, st.sampled_from(TOPICS))
ANY_JSON = st.recursive(SCALAR, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(ANY_TEXT, inner, max_size=4)))
JOIN = st.lists(st.sampled_from(TOPICS), max_size=12).map(lambda topics: json.dumps({"join": topics}))
NEARLY = st.one_of(
    ANY_JSON.map(lambda value: json.dumps({"join": value})),
    st.lists(st.one_of(st.sampled_from(TOPICS), SCALAR), min_size=1, max_size=4).map(lambda topics: json.dumps({"join": topics})),
    st.tuples(st.sampled_from(["leave", "order", "Join", "join\0", ""]), ANY_JSON).map(lambda pair: json.dumps(dict([pair]))),
    st.tuples(JOIN, ANY_TEXT).map("".join),
    st.tuples(ANY_TEXT, JOIN).map("".join),
    st.tuples(JOIN, st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]]),
)
HUGE = st.sampled_from(
    [
        "x" * MESSAGE_LIMIT,
        "x" * (MESSAGE_LIMIT + 1),
        "\0" * 65_537,
        "\U0001f600" * 65_537,
        json.dumps({"join": ["positions"] * 200}),
        json.dumps({"join": ["positions"]}).ljust(MESSAGE_LIMIT),
        json.dumps({"join": ["positions"]}).ljust(MESSAGE_LIMIT + 1),
        '{"join":' + "[" * 1_990,
        '{"join":' + "[" * 900 + "]" * 900 + "}",
        '{"join":' * 200 + "[]" + "}" * 200,
        '{"join":["positions"],"join":[' + "9" * 1_900 + "]}",
    ]
)
MESSAGE = st.one_of(JOIN, NEARLY, ANY_JSON.map(json.dumps), ANY_TEXT, HUGE, st.binary(max_size=200), st.just(b"\0" * 65_537))


def expected(message: str | bytes) -> int | frozenset[str]:
    """The close code, or the topics of a good join; judged by another parser than the consumer's."""
    if isinstance(message, bytes):
        return CLOSE_BINARY
    if len(message) > MESSAGE_LIMIT:
        return CLOSE_TOO_BIG
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return CLOSE_BAD_MESSAGE
    topics = said.get("join") if isinstance(said, dict) and len(said) == 1 else None
    good = isinstance(topics, list) and all(isinstance(topic, str) and topic in TOPICS for topic in topics)
    return frozenset(topics) if good and isinstance(topics, list) else CLOSE_BAD_MESSAGE


async def say(socket: Tab, message: str | bytes) -> dict[str, Any]:
    """Send it; the consumer's next word. Raises what the consumer raised."""
    await socket.send_input({"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message})
    answer: dict[str, Any] = await socket.receive_output()
    return answer


async def attack(session: str, messages: list[str | bytes]) -> None:
    """One socket that sends these until it is closed, and once more after that."""
    socket = browser(session)
    connected, _ = await socket.connect()
    assert connected
    for message in messages:
        answer, wanted = await say(socket, message), expected(message)
        if isinstance(wanted, int):
            assert (answer["type"], answer.get("code")) == ("websocket.close", wanted), message
            await socket.send_to(text_data='{"join": ["positions"]}')
            break
        assert orjson.loads(answer["text"]) == {"kind": "joined", "topics": sorted(wanted)}, message
    await socket.disconnect()
    assert socket.output_queue.empty(), "a closed socket is answered no more"


async def test_any_messages_are_answered_or_end_their_own_socket_only(tab: Tab, person: Any) -> None:  # noqa: F811
    session = await off_loop(lambda: cookie_of(person("mallory")))
    await join(tab, "positions")
    loop, feed = asyncio.get_running_loop(), Feed(epoch=7)
    rows_before = await off_loop(lambda: (CommandRecord.objects.count(), EventRecord.objects.count()))

    @given(st.lists(MESSAGE, min_size=1, max_size=5))
    @settings(max_examples=300, deadline=None)
    def storm(messages: list[str | bytes]) -> None:
        asyncio.run_coroutine_threadsafe(attack(session, messages), loop).result(PATIENCE)

    await asyncio.to_thread(storm)

    async def send() -> None:
        feed.put("positions", "p1", {"id": "p1", "v": 1})
        await feed.flush()

    assert (await frame(tab, send))["topic"] == "positions"
    assert len(the_hub()._sockets) == 1  # the attackers' are gone, the other's is there
    assert set(the_hub()._by_topic) == {"positions"}
    assert await off_loop(lambda: (CommandRecord.objects.count(), EventRecord.objects.count())) == rows_before

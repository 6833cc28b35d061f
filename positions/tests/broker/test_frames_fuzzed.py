"""Frames that no gateway should send: the adapter drops them, goes on or reconnects, and never believes a number that cannot be."""

import asyncio
import contextlib
import dataclasses
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from positions.domain.ports import BrokerError, LinkState
from positions.tests.broker.conftest import bracket
from positions.tests.broker.damager import GENTLE, WEDGING, Damager
from tradingsite.testing.patience import eventually_async

JUNK = st.one_of(
    st.sampled_from(
        ["", "nan", "NaN", "inf", "-inf", "-1", "1e400", "1.7976931348623157E308", "9" * 400, "2147483647", "9223372036854775808"]
    ),
    st.sampled_from(["<script>", "\ud83d\ude00", "A" * 5000, "0x10", "None", "True", "20261399 99:99:99", "-0.0", "1,5", " "]),
    st.text(max_size=30),
    st.integers().map(str),
    st.floats().map(str),
)
MUTATION = st.one_of(
    st.tuples(st.just("replace"), st.integers(0, 200), JUNK),
    st.tuples(st.just("insert"), st.integers(0, 200), JUNK),
    st.tuples(st.just("drop"), st.integers(0, 200), st.just("")),
    st.tuples(st.just("cut"), st.integers(0, 200), st.just("")),
    st.tuples(st.just("swap"), st.integers(0, 200), st.just("")),
)


def mutated(fields, mutations):
    """The message kind stays, most of the time: unknown kinds are the library's easiest case."""
    fields = list(fields)
    for what, where, junk in mutations:
        at = where % len(fields) if len(fields) < 2 or where == 200 else 1 + where % (len(fields) - 1)
        if what == "replace":
            fields[at] = junk
        elif what == "insert":
            fields.insert(at, junk)
        elif what == "drop" and len(fields) > 1:
            del fields[at]
        elif what == "cut" and at:
            del fields[at:]
        elif what == "swap":
            fields[at], fields[-1] = fields[-1], fields[at]
    return fields


def believable(value):
    """Nothing non-finite, nothing beyond what an account of people holds."""
    if dataclasses.is_dataclass(value):
        return all(believable(getattr(value, field.name)) for field in dataclasses.fields(value))
    return not isinstance(value, float) or (math.isfinite(value) and abs(value) < 1e15)


def everything(heard):
    return [*heard.orders, *heard.executions, *heard.commissions, *heard.errors, *heard.ticks, *heard.account.values()]


async def test_no_mutated_frame_breaks_the_decoding_or_is_believed(desk, heard):
    """Every kind of frame of a real session, mutated hundreds of times, into the real library and our ears."""
    broker = desk.broker(heard)
    await broker.connect()
    frames: dict[str, list[list[str]]] = {}
    decoder = broker._ib.client.decoder
    interpret = decoder.interpret

    def remember(fields):
        kept = frames.setdefault(fields[0], [])
        if len(kept) < 5:
            kept.append(list(fields))
        interpret(fields)

    decoder.interpret = remember
    await broker.subscribe("AAPL")
    await bracket(broker)
    await eventually_async(lambda: heard.commissions and heard.ticks, what="a filled bracket and ticks")
    await broker.snapshot()
    assert len(frames) >= 10, sorted(frames)
    for report in everything(heard):
        assert believable(report)
    catalogue = [frame for kept in frames.values() for frame in kept]

    @given(st.sampled_from(catalogue), st.lists(MUTATION, min_size=1, max_size=4))
    @settings(max_examples=600)
    def feed(frame, mutations):
        for kept in (heard.orders, heard.executions, heard.commissions, heard.errors, heard.ticks):
            kept.clear()
        interpret(mutated(frame, mutations))
        for report in everything(heard):
            assert believable(report), report

    feed()
    assert broker.link is not LinkState.CONNECTING


async def test_a_list_with_a_row_that_cannot_be_decoded_is_not_a_complete_picture(desk, heard):
    broker = desk.broker(heard)
    await broker.connect()
    await bracket(broker, limit=1.0)
    decoder = broker._ib.client.decoder
    interpret = decoder.interpret
    decoder.interpret = lambda fields: interpret(fields[:9] if fields[0] == "5" else fields)  # openOrder, cut off
    picture = await broker.snapshot()
    assert not picture.complete
    assert "unreadable rows" in picture.missing


class Garbler:
    """A man in the middle who passes bytes on until he is told to garble."""

    def __init__(self, port):
        self.target, self.garble, self.server, self.links, self.tasks = port, b"", None, [], []

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self.tasks.append(asyncio.current_task())
        other_reader, other = await asyncio.open_connection("127.0.0.1", self.target)
        self.links += [writer, other]
        await asyncio.gather(self._pass(reader, other, False), self._pass(other_reader, writer, True), return_exceptions=True)

    async def _pass(self, reader, writer, from_gateway):
        while data := await reader.read(65536):
            if from_gateway and self.garble:
                data, self.garble = self.garble + data, b""
            writer.write(data)
        writer.close()

    async def stop(self):
        self.server.close()
        for link in self.links:
            link.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack(">I", 2**31 - 1) + b"4",  # a frame that never ends: the stream is wedged
        struct.pack(">I", 0) * 20,
        struct.pack(">I", 5) + b"\x00\x00\x00\x00\x00",
        struct.pack(">I", 9) + b"\xff\xfe\x00\x81\x00\x00\xc3\x28\x00",
        bytes(range(256)) * 8,
        b"\x00" * 3,  # every later length is read askew
    ],
)
async def test_a_garbled_stream_is_noticed_and_a_new_session_is_whole(desk, heard, garbage):
    garbler = Garbler(desk.server.port)
    port = await garbler.start()
    broker = desk.broker(heard)
    broker.settings = dataclasses.replace(broker.settings, port=port)
    await broker.connect()
    broker.settings = dataclasses.replace(broker.settings, **HASTY)
    garbler.garble = garbage
    with contextlib.suppress(BrokerError):
        await broker.subscribe("AAPL")

    async def well():
        if broker.link is LinkState.CONNECTED and heard.ticks:
            return True
        if broker.link is not LinkState.DISCONNECTED:
            return False
        try:
            await broker.connect()
            await broker.subscribe("AAPL")
        except BrokerError:
            return False
        return False

    await eventually_async(well, what="ticks again")
    assert all(believable(report) for report in everything(heard))
    await broker.disconnect()
    await garbler.stop()


HASTY = {"connect_timeout": 1.0, "request_timeout": 1.0}  # of a link whose answers are destroyed; the next try follows


async def again(broker):
    """One dial of somebody who does not give up."""
    with contextlib.suppress(BrokerError):
        if broker.link is LinkState.DISCONNECTED:
            await broker.connect()
        await broker.subscribe("AAPL")
        await broker.open_orders()


@pytest.mark.parametrize("seed", [1, 2])
async def test_hundreds_of_damaged_frames_on_the_socket_are_survived_and_cause_no_order(desk, heard, seed):
    damager = Damager(desk.server.port, seed)
    broker = desk.broker(heard)
    broker.settings = dataclasses.replace(broker.settings, port=await damager.start())
    await broker.connect()
    await broker.subscribe("AAPL")
    await bracket(broker)
    await eventually_async(lambda: heard.commissions, what="filled and charged")
    book = [(row["order_ref"], row["quantity"], row["status"]) for row in (await desk.control(query="orders"))["rows"]]
    broker.settings = dataclasses.replace(broker.settings, **HASTY)
    for kinds, share, wanted in ((GENTLE, 0.5, 300), (GENTLE + WEDGING, 0.2, 360)):
        damager.arm(*kinds, share=share)

        async def enough(wanted=wanted):
            await again(broker)
            return sum(damager.done.values()) >= wanted

        await eventually_async(enough, what=f"{wanted} damaged frames, so far {dict(damager.done)}")
    damager.calm()

    async def well():
        await again(broker)
        if broker.link is not LinkState.CONNECTED:
            return False
        with contextlib.suppress(BrokerError):
            return (await broker.snapshot()).complete
        return False

    await eventually_async(well, what="a whole picture again")
    for report in everything(heard):
        assert believable(report), report
    assert [(row["order_ref"], row["quantity"], row["status"]) for row in (await desk.control(query="orders"))["rows"]] == book
    assert set(damager.done) == {*GENTLE, *WEDGING}
    await broker.disconnect()
    await damager.stop()

"""What happened to others, told again on a lane of ours. Each story arms the gateway, acts as a trader, and says what it expects.

A story that did not come about ("set up") is never a proof of anything. Outages are seconds long where the originals' were
longer: what broke there was what was done at their end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tradingsite.chaos.lane import Lane
from tradingsite.chaos.oracle import Violation

SYMBOL = "AAPL"
EIGHT = [5.0] * 8  # fills of an entry for 40
SET_UP_SECONDS = 40.0  # a machine that does other things too takes its time; what is judged has limits of its own
SECOND_THOUGHTS = 8.0  # a worker looks after its stops five seconds after its start
POLL_SECONDS = 40.0  # the light comparison every thirty, and the time it takes


class NotToldError(Exception):
    """The story did not come about, so there is nothing to judge."""


class Bench:
    """A lane and what was found on it."""

    def __init__(self, lane: Lane, name: str) -> None:
        self.lane, self.name = lane, name
        self.found: list[Violation] = []

    def expect(self, holds: object, detail: str) -> None:
        if not holds:
            self.found.append(Violation(invariant=self.name, detail=detail))

    def set_up(self, holds: object, detail: str) -> None:
        """Raises NotToldError, noted among what was found."""
        if not holds:
            self.found.append(Violation(invariant="set up", detail=detail))
            raise NotToldError(detail)

    # --- acting ---

    def start(self) -> None:
        """The worker, killed if it runs, and started."""
        first = not self.lane.rows("SELECT 1 FROM events_workerlease WHERE epoch > 0")
        self.lane.start_worker()
        (self.set_up if first else self.expect)(self.lane.wait(self.lane.ready, SET_UP_SECONDS), "the worker is not ready")

    def approve(self, quantity: float = 10.0, **more: Any) -> None:
        answer = self.lane.ask(do="approve", quantity=quantity, **({"symbol": SYMBOL} | more))
        self.set_up("command" in answer, f"the approval was answered {answer}")

    def price_left_the_card(self) -> bool:
        """Whether that came of the last approval: a person looks and approves anew."""
        newest = "SELECT state, code FROM events_commandrecord WHERE name = 'ApproveSignal' ORDER BY id DESC LIMIT 1"
        done = self.lane.wait(lambda: self.lane.rows(newest)[0][0] not in ("pending", "claimed"), SET_UP_SECONDS)
        return bool(done) and self.lane.rows(newest)[0][1] == "moved_price"

    def holding(self, quantity: float = 10.0, **more: Any) -> None:
        """A position, open, protected and recorded."""
        self.approve(quantity, **more)
        whole = self.lane.wait(lambda: self.lane.open_positions() and not self.lane.examine(), SET_UP_SECONDS)
        self.set_up(whole, f"no whole position: {self.lane.examine()[:2]}")

    def drip(self, sizes: list[float], delay: float = 0.4) -> None:
        self.lane.control(fault="partials", match={"symbol": SYMBOL, "side": "BUY"}, sizes=sizes, delay=delay)

    def happens(self, count: int, seconds: float = SET_UP_SECONDS) -> None:
        self.set_up(self.lane.wait(lambda: len(self.executions()) >= count, seconds), f"there were not {count} executions")

    # --- looking ---

    def executions(self) -> list[dict[str, Any]]:
        return list(self.lane.control(query="executions")["rows"])

    def placed(self) -> list[str]:
        """The reference of every order ever placed at the gateway, first to last."""
        return [row["data"]["order_ref"] for row in self.lane.control(query="ledger")["rows"] if row["kind"] == "place"]

    def entries(self) -> int:
        return len([reference for reference in self.placed() if reference.endswith("-E")])

    def fills(self) -> int:
        return len(self.lane.rows("SELECT 1 FROM positions_fillrecord"))

    def held(self) -> float:
        return sum(float(row[0]) for row in self.lane.rows("SELECT quantity FROM positions_positionrecord WHERE status <> 'closed'"))

    def recorded(self, count: int, seconds: float = 20.0) -> None:
        self.lane.wait(lambda: self.fills() >= count, seconds)
        self.expect(self.fills() == count, f"{count} fills happened, {self.fills()} are recorded")


def fills_while_ib_is_away(bench: Bench) -> None:
    """8 fills, the link to IB lost after the third, back with 1102: all 8, once. The outage is 4 s instead of 20."""
    bench.start()
    bench.drip(EIGHT)
    bench.approve(40)
    bench.happens(3)
    bench.lane.control(fault="upstream_lost")
    bench.happens(8)
    bench.set_up(bench.fills() < 8, "the link was lost too late")
    bench.lane.control(fault="upstream_restored", data_kept=True)
    bench.recorded(8)


def ten_restarts(bench: Bench) -> None:
    """Ten kills with a position, its stop and target, and a resting entry: no new order, none cancelled."""
    bench.start()
    bench.holding()
    bench.approve(symbol="MSFT", through=-0.02)
    bench.set_up(bench.lane.wait(lambda: len(bench.placed()) == 6, 20), "no second family")
    book = lambda: sorted(row["order_ref"] for row in bench.lane.control(query="book")["rows"])  # noqa: E731
    before, placed = book(), bench.placed()
    for _ in range(10):
        bench.start()
    bench.lane.wait(lambda: bench.placed() != placed or book() != before, SECOND_THOUGHTS)
    bench.expect(bench.placed() == placed, f"{len(bench.placed()) - len(placed)} new orders after ten restarts")
    bench.expect(book() == before, f"the book was {before} and is {book()}")


def partial_fill_of_yesterday(bench: Bench) -> None:
    """4 of 5 filled, and the lists begin after those fills: the position stays 4, and the fifth makes it 5."""
    bench.start()
    bench.drip([2.0, 2.0])
    bench.approve(5)
    bench.recorded(2)
    bench.lane.worker.kill()
    bench.lane.control(fault="forget_day")
    bench.start()
    bench.expect(bench.held() == 4, f"4 are held at the gateway, {bench.held():g} here")
    bench.expect(bench.fills() == 2, f"two fills happened, {bench.fills()} are recorded")
    [entry] = [row for row in bench.lane.control(query="book")["rows"] if row["order_ref"].endswith("-E")] or [None]
    bench.set_up(entry is not None, "the entry is not in the book any more")
    if entry is not None:
        bench.lane.control(fill={"client_id": entry["client_id"], "order_id": entry["order_id"]}, quantity=1)
        bench.recorded(3)
        bench.expect(bench.held() == 5, f"5 are held at the gateway, {bench.held():g} here")


def flat_there_short_here(bench: Bench) -> None:
    """Short 4, stopped out while nobody listened, and no list tells of it: entries wait, the difference is named, nothing is made up.

    This one does not heal: the fill is for a statement or a person to tell, so the judge must keep objecting to it.
    """
    lane = bench.lane
    bench.start()
    bench.holding(4, direction=-1)
    lane.worker.kill()
    stop = next(row for row in lane.control(query="book")["rows"] if row["kind"] == "STP")
    lane.control(set_price=SYMBOL, price=round(stop["stop_price"] * 1.01, 2), hold=True)
    bench.happens(2)
    lane.control(fault="forget_day")
    placed, fills = bench.placed(), bench.fills()
    lane.start_worker()
    named = lane.wait(lambda: any(SYMBOL in blocked for blocked in _blocked(lane)), 20)
    bench.expect(named, f"the difference is not named: {_blocked(lane)}")
    began = time.monotonic()
    lane.ask(do="approve", symbol="MSFT", quantity=1.0, seconds=3.0)
    lane.wait(lambda: lane.ready() or bench.placed() != placed or bench.fills() != fills, 13 - (time.monotonic() - began))
    bench.expect(not lane.ready(), "entries are allowed again")
    bench.expect(bench.placed() == placed, f"orders left: {bench.placed()[len(placed) :]}")
    bench.expect(bench.fills() == fills, "a fill was made up")
    bench.expect(bench.held() == -4, f"our book was short 4 and says {bench.held():g} now")
    found = lane.examine()
    bench.expect({"I3", "I4"} <= {violation.invariant for violation in found}, "the judge sees no difference any more")
    bench.found += lane.examine(settled=False)


def _blocked(lane: Lane) -> list[str]:
    return [row[0] for row in lane.rows("SELECT blocked FROM positions_brokercheck ORDER BY at DESC LIMIT 1")]


def told_again(bench: Bench) -> None:
    """Every execution told twice live, twice more after a restart: nothing changes, nobody stops."""
    bench.start()
    bench.holding()
    position = next(iter(bench.lane.open_positions()), "")
    bench.lane.ask(do="wish", name="ClosePosition", position_id=position)
    bench.recorded(2)
    bench.holding(7, symbol="MSFT")
    for restart in (False, True):
        if restart:
            bench.start()
        pid = bench.lane.worker.pid
        bench.set_up(all(bench.lane.control(fault="repeat_executions")["executions"] == 3 for _ in range(2)), "not told again")
        bench.lane.wait(lambda: bench.fills() != 3, 2)
        bench.expect(bench.fills() == 3, f"three fills happened, {bench.fills()} are recorded")
        bench.expect(bench.held() == 7, f"7 are held at the gateway, {bench.held():g} here")
        bench.expect(bench.lane.worker.running and bench.lane.worker.pid == pid, "the worker stopped")


def fifty_timeouts(bench: Bench) -> None:
    """The nightly reset, and then fifty connections in a row that nobody greets: one at a time, one loop, one session.

    The worker's back-off and its patience are shortened, or fifty would take half an hour; nothing else is.
    """
    lane = bench.lane
    bench.start()
    bench.holding()
    lane.control(fault="no_greeting", times=50)
    lane.control(fault="daily_restart", seconds=1.0)
    timeouts = lambda: len([row for row in lane.control(query="faults")["rows"] if row["fault"] == "no_greeting"])  # noqa: E731
    bench.set_up(lane.wait(lambda: timeouts() == 50, 60), f"only {timeouts()} attempts timed out")
    bench.expect(lane.wait(lane.ready, 15), "the worker did not come back")
    sockets = lane.control(query="sockets")["rows"]
    bench.expect(sockets == {"open": 1, "most": 1}, f"sockets at the gateway: {sockets}")
    bench.expect(len(lane.control(query="sessions")["rows"]) == 1, "not one session")


def cut_before_the_answer(bench: Bench) -> None:
    """The family reaches the book, its acknowledgement never reaches us, and we die: the next start knows the order for what it is."""
    lane = bench.lane
    bench.start()
    lane.control(fault="ack_lost", match={"kind": "LMT", "side": "SELL"})  # the leg that transmits them all
    bench.approve(through=-0.01)
    bench.set_up(lane.wait(lambda: len(lane.control(query="book")["rows"]) == 3, 20), "the family is not in the book")
    lane.worker.kill()
    unsure = [row[0] for row in lane.rows("SELECT order_ref FROM positions_orderrecord WHERE state IN ('sending', 'in_doubt', 'working')")]
    bench.expect(len(unsure) == 3, f"rows that wait for their answer: {unsure}")
    for _ in range(2):
        lane.start_worker()
        bench.expect(lane.wait(lane.ready, 20), "the start is blocked")
    bench.expect(len(bench.placed()) == 3, f"{len(bench.placed())} orders were placed for one family")
    rows = lane.rows("SELECT order_ref, state, ib_order_id, perm_id FROM positions_orderrecord")
    bench.expect(
        len(rows) == 3 and all(row[1] in ("working", "held") and row[2] and row[3] for row in rows), f"the orders are known as {rows}"
    )


def reversed_after_a_stop(bench: Bench) -> None:
    """The stop fills and the other direction is entered at once: each fill belongs to the order whose reference it carries.

    At once is as soon as the page lets a person, which wants a quote from after the fall: some three seconds, not the original's one.
    The stop is close, so that the price need not fall further than a limit may be from the last quote.
    """
    lane = bench.lane
    bench.start()
    bench.holding(risk=0.006)
    stop = next(row for row in lane.control(query="book")["rows"] if row["kind"] == "STP")
    lane.control(set_price=SYMBOL, price=round(stop["stop_price"] * 0.999, 2))  # it ticks on: a quote that stands still is soon too old
    bench.happens(2)
    bench.recorded(2)
    if not _each_with_its_order(bench):
        return  # nobody is let enter on such books
    bench.approve(6, direction=-1, through=0.012)
    while bench.price_left_the_card():
        bench.approve(6, direction=-1, through=0.012)
    bench.happens(3)
    bench.recorded(3)
    apart = bench.executions()[-1]["at"] - bench.executions()[1]["at"]
    bench.set_up(apart < 30, f"the reversal came {apart:.1f} s after the stop")
    _each_with_its_order(bench)
    positions = lane.rows("SELECT DISTINCT position_id FROM positions_fillrecord")
    bench.expect(len(positions) == 2, "the three fills are not those of two positions")


def _each_with_its_order(bench: Bench) -> bool:
    """Whether every recorded fill is kept with the order, and the position, whose reference it carried at the gateway."""
    told = {row["exec_id"]: row["order_ref"] for row in bench.executions()}
    rows = bench.lane.rows(
        "SELECT f.exec_id, f.order_ref, f.position_id, o.order_ref, o.position_id FROM positions_fillrecord f "
        "LEFT JOIN positions_orderrecord o ON o.order_id = f.order_id"
    )
    for exec_id, reference, position, order, order_position in rows:
        bench.expect(told.get(exec_id) == reference == order, f"{exec_id} of {told.get(exec_id)} is kept as {reference}, with {order}")
        bench.expect(position == order_position, f"{exec_id} is a fill of another position than its order")
    return not bench.found


def cancelled_after_a_part(bench: Bench) -> None:
    """4 of 10 filled, then cancelled by nobody we know; 2 more are told late: no order is repeated."""
    lane = bench.lane
    bench.start()
    bench.drip([4.0])
    bench.approve(10)
    bench.recorded(1)
    lane.control(fault="unsolicited_cancel", match={"kind": "LMT", "side": "BUY"})
    state = "SELECT state FROM positions_orderrecord WHERE role = 'entry'"
    bench.expect(lane.wait(lambda: lane.rows(state) == [("canceled",)], 8), f"the entry is {lane.rows(state)}")
    lane.wait(lambda: not lane.examine() or bench.entries() > 1, 8)
    lane.control(fault="late_fill", match={"kind": "LMT", "side": "BUY"}, quantity=2)
    bench.recorded(2)
    lane.wait(lambda: bench.entries() > 1, 2)
    bench.expect(bench.entries() == 1, f"{bench.entries()} entries were placed for one approval")
    bench.expect(bench.held() == 6, f"6 are held at the gateway, {bench.held():g} here")


def corrected(bench: Bench) -> None:
    """Two fills, 6 and 4, then `.02` of each: 5 at 100 and 5 at 101. These alone are what happened, also after a restart that hears all.

    Then `.03` of one, which lowers it to 4: the filled entry is over with 9, and its stop closes no more than that.
    """
    lane = bench.lane
    bench.start()
    bench.drip([6.0, 4.0])
    bench.approve()
    bench.happens(2)
    bench.recorded(2)
    first, second = (row["exec_id"] for row in bench.executions())
    lane.control(fault="correction", exec_id=first, price=100.0, quantity=5.0)
    lane.control(fault="correction", exec_id=second, price=101.0, quantity=5.0)
    current = "SELECT revision, quantity, price FROM positions_fillrecord WHERE NOT superseded ORDER BY price"
    wanted = [(2.0, 5.0, 100.0), (2.0, 5.0, 101.0)]
    for restart in (False, True):
        if restart:
            bench.start()
        lane.wait(lambda: _numbers(lane, current) == wanted, 8)
        bench.expect(_numbers(lane, current) == wanted, f"(revision, quantity, price) are {_numbers(lane, current)}")
        bench.expect(bench.held() == 10, f"10 are held at the gateway, {bench.held():g} here")
    last = "SELECT exec_id FROM positions_fillrecord WHERE NOT superseded ORDER BY price DESC"
    lane.control(fault="correction", exec_id=lane.rows(last)[0][0], quantity=4.0)
    states = "SELECT role, state, quantity FROM positions_orderrecord WHERE role IN ('entry', 'stop') ORDER BY role"
    over = [("entry", "canceled", 10.0), ("stop", "held", 9.0)]
    lane.wait(lambda: _states(lane, states) == over, 15)
    bench.expect(_states(lane, states) == over, f"entry and stop are {_states(lane, states)}")
    bench.expect(bench.held() == 9, f"9 are held at the gateway, {bench.held():g} here")


def _states(lane: Lane, sql: str) -> list[tuple[str, str, float]]:
    return [(str(role), str(state), float(quantity)) for role, state, quantity in lane.rows(sql)]


def _numbers(lane: Lane, sql: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, row)) for row in lane.rows(sql)]


def one_in_four_untold(bench: Bench) -> None:
    """A healthy link that leaves out one fill in four: the comparison every thirty seconds finds them."""
    bench.start()
    bench.drip(EIGHT)
    bench.lane.control(fault="omit", match={"symbol": SYMBOL, "side": "BUY"}, times=0, every=4)
    bench.approve(40)
    bench.happens(8)
    omitted = [row for row in bench.lane.control(query="faults")["rows"] if row["fault"] == "omit"]
    bench.set_up(len(omitted) == 2, f"{len(omitted)} fills were left out")
    bench.recorded(8, POLL_SECONDS)


def told_and_found(bench: Bench) -> None:
    """Fills told twice while comparisons ask for them at the same time: one row each."""
    lane = bench.lane
    bench.start()
    bench.drip(EIGHT)
    lane.control(fault="disorder", mode="duplicate", match={"symbol": SYMBOL}, times=0)
    bench.approve(40)
    bench.happens(1)  # sent: right after a 1102 nothing would leave
    deadline = time.monotonic() + 12
    while len(bench.executions()) < 8 and time.monotonic() < deadline:
        lane.control(fault="notice", code=1102, text="Connectivity restored")  # asks for a comparison, and loses nothing
        time.sleep(0.2)
    bench.happens(8)
    bench.recorded(8)
    asked = lane.control(query="received")["rows"]
    bench.set_up(len([row for row in asked if row["name"] == "REQ_EXECUTIONS"]) > 3, "nobody asked for executions meanwhile")


Story = Callable[[Bench], None]

"""Exit rules carried out against a naive broker: what is sent, what is kept, and what a crash does not repeat."""

from __future__ import annotations

from datetime import timedelta

import pytest

from events.market import PriceEvent
from events.order import OrderRole
from events.position import PositionStatus
from positions.domain.exit_rules import ExitRules, Pace, PartialTarget, Reverse, Trail, TrailKind
from positions.domain.exit_runner import ExitRunner
from positions.domain.intent import OrderIntent
from positions.domain.position import Position
from positions.domain.risk import RiskLimits, TradingState
from positions.tests.domain.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()


def runner(desk: Desk) -> ExitRunner:
    return ExitRunner(desk.manager, desk.tracker, desk.clock.now, atr=lambda symbol: 1.0, pace=Pace(seconds=5))


async def price(desk: Desk, run: ExitRunner, value: float, *, seconds: int = 1) -> None:
    """The market is at `value`; one look at the rules, and the broker's answers."""
    desk.quote(price=value)
    desk.tracker.on_price(PriceEvent(symbol="AAPL", price=value, price_time=desk.clock.now(), timestamp=desk.clock.now()))
    await run.run_once()
    await desk.manager.drain()
    await desk.wait(seconds)


async def armed(desk: Desk, **rules: object) -> tuple[Position, ExitRunner]:
    position, run = await desk.held(take_profit=None), runner(desk)
    await run.arm(position, ExitRules(**rules), "armed", by="a trader")  # type: ignore[arg-type]
    return position, run


def kinds(position: Position) -> list[str]:
    return [entry["type"] for entry in position.history]


async def test_a_trailing_stop_modifies_the_one_order_and_says_why(desk: Desk) -> None:
    position, run = await armed(desk, trail=Trail(kind=TrailKind.PERCENT, value=2))
    for value in (104.0, 106.0, 108.0, 110.0, 107.9):
        await price(desk, run, value, seconds=6)
    assert position.stop_loss == 107.8
    assert sum(ticket.order_ref.endswith("-S") for what, ticket in desk.broker.wire if what == "send") == 1
    moves = [entry for entry in position.history if entry["type"] == "stop moved by rule"]
    assert [entry["changed"]["stop_loss"][1] for entry in moves] == [101.92, 103.88, 105.84, 107.8]
    assert moves[-1]["changed"]["last price"] == 110.0
    assert "best price 110" in moves[-1]["reason"]
    assert position.exit_rules.trail is not None
    assert position.exit_rules.trail.moves == 4


async def test_break_even_is_done_when_the_broker_has_confirmed_it(desk: Desk) -> None:
    position, run = await armed(desk, break_even_r=1.0)
    desk.broker.mute = True
    await price(desk, run, 105.0)
    assert position.exit_rules.break_even_at is None
    desk.broker.mute = False
    desk.broker.repeat()
    await desk.manager.drain()
    await price(desk, run, 105.0)
    assert position.stop_loss == 100.0
    assert position.exit_rules.break_even_at is not None
    assert kinds(position).count("break-even") == 1


async def test_a_partial_target_shrinks_the_stop_and_sells_once(desk: Desk) -> None:
    position, run = await armed(desk, targets=(PartialTarget(at_r=1, percent=40),))
    for _ in range(4):
        await price(desk, run, 105.0)
    assert desk.broker.order("-S").quantity == 60
    exits = [ticket for what, ticket in desk.broker.wire if what == "send" and ticket.order_ref.endswith("-X")]
    assert [ticket.quantity for ticket in exits] == [40]
    desk.broker.fill(desk.broker.order("-X"), 40, 105.0)
    await desk.manager.drain()
    await price(desk, run, 105.0)
    assert position.held == 60
    assert position.exit_rules.targets[0].done_at is not None
    assert desk.broker.order("-S").remaining == 60
    assert not position.exit_rules.armed


async def test_after_a_crash_a_target_in_flight_is_not_sold_again(desk: Desk) -> None:
    _position, run = await armed(desk, targets=(PartialTarget(at_r=1, percent=40),))
    await price(desk, run, 105.0)
    await price(desk, run, 105.0)
    await desk.restarted()
    await desk.manager.reconcile(await desk.broker.snapshot())
    run = runner(desk)
    for _ in range(3):
        await price(desk, run, 105.0)
    assert sum(ticket.order_ref.endswith("-X") for what, ticket in desk.broker.wire if what == "send") == 1


async def test_a_target_whose_exit_was_refused_is_armed_again(desk: Desk) -> None:
    position, run = await armed(desk, targets=(PartialTarget(at_r=1, percent=40),))
    desk.broker.refuse_modify = True
    await price(desk, run, 105.0, seconds=3)
    await price(desk, run, 105.0)
    assert position.exit_rules.targets[0].tries == 1
    assert desk.ours(OrderRole.EXIT).state.value == "denied"
    desk.broker.refuse_modify = False
    for _ in range(4):
        await price(desk, run, 105.0)
    assert desk.broker.order("-X").quantity == 40


async def test_a_time_stop_closes_at_its_minute_even_without_a_price(desk: Desk) -> None:
    position, run = await armed(desk, close_after_minutes=10.0)
    desk.clock.advance(599)
    await run.run_once()
    assert position.status is PositionStatus.OPEN
    desk.clock.advance(1)
    await run.run_once()
    await desk.manager.drain()
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.manager.drain()
    assert position.status is PositionStatus.CLOSED
    assert position.reason == "time stop: open for 10 min"


async def test_a_reverse_closes_and_then_opens_the_other_way_once(desk: Desk) -> None:
    position, run = await armed(desk)
    wish = Reverse(intent_id="r1", quantity=100, risk=5.0, reward=10.0, expires_at=desk.clock.now() + timedelta(seconds=60))
    await run.arm(position, ExitRules(reverse=wish), "reverse", by="a trader")
    await desk.manager.close_position(position.position_id, None, "reverse")
    await price(desk, run, 101.0)
    desk.broker.fill(desk.broker.order("-X"), 100, 101.0)
    await desk.manager.drain()
    await price(desk, run, 101.0)
    await price(desk, run, 101.0)
    entry = desk.broker.order("-E")
    assert all(len(event.cause) <= 36 for event in desk.events)  # a cause is an id: the journal takes no longer one
    assert (entry.ticket.side.value, entry.quantity) == ("sell", 100)
    assert sum(ticket.order_ref.endswith("-E") for what, ticket in desk.broker.wire if what == "send") == 2
    assert position.exit_rules.reverse is not None
    assert position.exit_rules.reverse.outcome.startswith("opened as position")


async def reversing(desk: Desk, *, risk: float = 5.0, reward: float | None = None) -> tuple[Position, ExitRunner, list[tuple[str, bool]]]:
    """A position whose reverse is asked for and whose close is on its way; and what was told of the other side."""
    told: list[tuple[str, bool]] = []

    async def tell(wish: Reverse, opened: bool) -> bool:
        told.append((wish.outcome, opened))
        return len(told) > 1  # the first time its row cannot be written yet

    position = await desk.held(take_profit=None)
    run = ExitRunner(desk.manager, desk.tracker, desk.clock.now, told=tell)
    wish = Reverse(
        intent_id="r1", quantity=100, risk=risk, reward=reward, close_id="c1", expires_at=desk.clock.now() + timedelta(seconds=60)
    )
    await run.arm(position, ExitRules(reverse=wish), "reverse", by="a trader")
    await desk.manager.close_position(position.position_id, None, "reverse", intent_id="c1")
    await price(desk, run, 100.0)
    return position, run, told


@pytest.mark.parametrize("risk", [0.25, 0.4, 1.0])
async def test_a_reverse_opens_the_other_side_however_close_its_stop_is(desk: Desk, risk: float) -> None:
    _, run, told = await reversing(desk, risk=risk, reward=2 * risk)
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.manager.drain()
    for _ in range(3):
        await price(desk, run, 100.0)
    assert [opened for _, opened in told] == [True, True]
    assert sum(ticket.order_ref.endswith("-E") for what, ticket in desk.broker.wire if what == "send") == 2  # told twice, opened once
    entry, stop, target = (desk.broker.order(suffix).ticket for suffix in ("-E", "-S", "-T"))
    bid = 99.99
    assert stop.stop_price == pytest.approx(bid + risk, abs=0.025)  # the same risk from where it fills
    assert target.limit_price == pytest.approx(bid - 2 * risk, abs=0.025)
    assert (entry.limit_price or 0) < bid < (stop.stop_price or 0)


async def test_a_reverse_whose_second_half_would_be_refused_is_refused_whole(desk: Desk) -> None:
    position, run = await armed(desk)
    wish = Reverse(intent_id="r1", quantity=100, risk=5.0, reward=None, expires_at=desk.clock.now() + timedelta(seconds=60))
    assert await run.reversals.objection(position, wish) is None
    desk.manager.core.risk.limits = RiskLimits(restricted_symbols=frozenset({"AAPL"}))
    refusal = await run.reversals.objection(position, wish)
    assert refusal is not None
    assert refusal.code == "restricted"
    tall = Reverse(intent_id="r1", quantity=100, risk=5.0, reward=150.0, expires_at=wish.expires_at)
    below_zero = await run.reversals.objection(position, tall)
    assert below_zero is not None
    assert "zero or below" in str(below_zero)
    assert not any(ticket.order_ref.endswith("-X") for what, ticket in desk.broker.wire if what == "send")


async def test_without_the_brokers_word_on_margin_nothing_is_closed(desk: Desk) -> None:
    desk.manager.core.risk.limits = RiskLimits(require_margin=False)
    position = await desk.held(take_profit=None)
    desk.manager.core.risk.limits = RiskLimits(require_margin=True)
    asked: list[float] = []

    async def silent(intent: OrderIntent) -> OrderIntent:
        asked.append(intent.quantity)
        return intent

    run = ExitRunner(desk.manager, desk.tracker, desk.clock.now, bind=silent)
    wish = Reverse(intent_id="r1", quantity=100, risk=5.0, reward=None, expires_at=desk.clock.now() + timedelta(seconds=60))
    refusal = await run.reversals.objection(position, wish)
    assert refusal is not None
    assert (refusal.code, asked) == ("no_what_if", [200])


async def test_what_refuses_the_other_side_later_is_told(desk: Desk) -> None:
    position, run, told = await reversing(desk)
    desk.manager.set_trading_state(TradingState.HALTED, "fire drill")
    desk.broker.fill(desk.broker.order("-X"), 100, 100.0)
    await desk.manager.drain()
    for _ in range(3):
        await price(desk, run, 100.0)
    assert told == [("not opened: Trading is halted: fire drill. An admin has to resume trading first.", False)] * 2
    assert position.exit_rules.reverse is not None
    assert position.exit_rules.reverse.outcome == told[0][0]


async def test_a_reverse_whose_close_failed_says_so_and_opens_nothing(desk: Desk) -> None:
    position, run, told = await reversing(desk)
    exit_id = desk.broker.order("-X").ticket.ib_order_id
    desk.broker.object_to(exit_id, 201, "Order rejected: margin")
    desk.broker.end(exit_id)
    await desk.manager.drain()
    for _ in range(3):
        await price(desk, run, 100.0)
    assert position.held == 100
    assert told[-1][0].startswith("not opened: the position was not closed")
    assert told[-1][1] is False


async def test_a_reverse_that_took_too_long_opens_nothing(desk: Desk) -> None:
    position, run = await armed(desk)
    wish = Reverse(intent_id="r1", quantity=100, risk=5.0, reward=None, expires_at=desk.clock.now() + timedelta(seconds=5))
    await run.arm(position, ExitRules(reverse=wish), "reverse", by="a trader")
    await desk.manager.close_position(position.position_id, None, "reverse")
    await price(desk, run, 101.0, seconds=6)
    desk.broker.fill(desk.broker.order("-X"), 100, 101.0)
    await desk.manager.drain()
    await price(desk, run, 101.0)
    assert position.exit_rules.reverse is not None
    assert position.exit_rules.reverse.outcome == "not opened: the wish had lapsed"

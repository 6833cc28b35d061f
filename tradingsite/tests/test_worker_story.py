"""The worker as a real process against the simulated gateway as a real process, over the real TWS protocol."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from events.commands import CancelOrder, ChangeStop, ChangeTarget, ClosePosition, HaltTrading, ResumeTrading
from events.models import EventRecord, WorkerLease
from positions.models import EquityPoint, FillRecord, MinuteBar, OrderRecord, PositionRecord, TradingState
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.testing.processes import ROOT, clean_environment
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "AMZN", "META", "MSFT", "NVDA", "TSLA"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def working(truth):
    return [o for o in truth.orders() if o["status"] not in ("Filled", "Cancelled", "Inactive")]


def test_an_approval_becomes_a_bracket_a_fill_a_position_and_equity(live_worker, truth):
    wish = outcome(file_wish(approval("AAPL", quantity=100)))
    assert (wish.state, wish.code) == ("done", ""), wish.reason

    position = eventually(lambda: PositionRecord.objects.filter(symbol="AAPL", status="open").first(), what="AAPL is open")
    assert float(position.quantity) == 100
    assert position.signal_id == wish.signal_id
    assert truth.positions() == {"AAPL": 100}

    fills = FillRecord.objects.filter(position_id=position.position_id)
    assert sum(float(f.quantity) for f in fills) == 100
    assert {f.exec_id for f in fills} == {e["exec_id"] for e in truth.executions()}

    eventually(lambda: PositionRecord.objects.get(pk=position.pk).stop_state == "resting", what="its stop rests")
    assert sorted((o["kind"], o["side"]) for o in working(truth)) == [("LMT", "SELL"), ("STP", "SELL")]
    assert {o["state"] for o in OrderRecord.objects.filter(role="entry").values("state")} == {"filled"}

    point = eventually(lambda: EquityPoint.objects.filter(unrealized_pnl__gt=-1e6).order_by("-at").first(), what="an equity point")
    assert 240_000 < point.equity < 260_000
    chain = EventRecord.objects.filter(signal_id=wish.signal_id).values_list("event_type", flat=True)
    assert {"NewOrderEvent", "FillEvent", "PositionOpenEvent", "CommandEvent"} <= set(chain)


def test_the_worker_and_the_gateway_agree_on_what_the_account_is_worth(live_worker, truth):
    open_position("AAPL", 200)
    truth.ask(set_price="AAPL", price=round(last_price("AAPL") * 1.01, 2), hold=True)

    def agree():
        equity = WorkerLease.objects.get().health["equity"]
        account = truth.ask(query="account")["rows"]
        cash, worth = account["cash"], account["NetLiquidation"]
        return abs(equity["cash"] - float(cash)) < 0.01 and abs(equity["equity"] - float(worth)) < 0.01

    eventually(agree, what="both say the same to the cent")


def test_an_account_of_the_wrong_kind_is_refused_in_words_and_traded_by_nobody(live_gateway, truth, spawn, live_environment):
    paper = spawn("ibworker", "ibworker", environment=live_environment | {"TRADING_MODE": "paper"})
    lease = eventually(lambda: WorkerLease.objects.filter(state="refused").first(), what="the refusal is shown")
    assert "the gateway is the simulated one" in lease.health["worker"]["detail"]
    wish = file_wish(approval("AAPL", price=100.0), expires_in=1)
    assert outcome(wish).state == "expired"
    assert truth.orders() == []
    assert paper.running


def test_a_moved_stop_is_modified_where_it_rests(live_worker, truth):
    position = open_position("MSFT")
    price = round(last_price("MSFT") * 0.98, 2)
    assert outcome(file_wish(ChangeStop(position_id=position.pk, price=price))).state == "done"
    eventually(lambda: [o for o in working(truth) if o["kind"] == "STP" and o["stop_price"] == price], what="the resting stop moved")
    eventually(lambda: float(PositionRecord.objects.get(pk=position.pk).stop_loss) == price, what="the record says so")
    assert len([o for o in truth.orders() if o["kind"] == "STP"]) == 1


def test_a_stop_on_the_wrong_side_is_refused_with_a_reason(live_worker, truth):
    position = open_position("MSFT")
    wish = outcome(file_wish(ChangeStop(position_id=position.pk, price=round(last_price("MSFT") * 1.02, 2))))
    assert wish.state == "refused"
    assert "below" in wish.reason


def test_a_moved_target_is_modified_where_it_rests(live_worker, truth):
    position = open_position("MSFT")
    price = round(last_price("MSFT") * 1.08, 2)
    assert outcome(file_wish(ChangeTarget(position_id=position.pk, price=price))).state == "done"
    eventually(lambda: [o for o in working(truth) if o["kind"] == "LMT" and o["limit_price"] == price], what="the resting target moved")


def test_a_close_leaves_nothing_held_and_nothing_working(live_worker, truth):
    position = open_position("NVDA")
    assert outcome(file_wish(ClosePosition(position_id=position.pk))).state == "done"
    closed = eventually(lambda: PositionRecord.objects.filter(pk=position.pk, status="closed").first(), what="it is closed")
    assert closed.exit_price is not None
    assert float(closed.quantity) == 0
    eventually(lambda: not working(truth), what="nothing works at the gateway")
    assert truth.positions() == {}


def test_a_worker_killed_between_claim_and_answer_makes_exactly_one_order(live_worker, truth):
    truth.ask(fault="ack_lost", match={"symbol": "TSLA", "side": "SELL", "kind": "LMT"}, times=1)  # the leg that releases the family
    wish = file_wish(approval("TSLA", quantity=10), expires_in=60)
    eventually(lambda: [o for o in truth.orders() if o["symbol"] == "TSLA"], what="the gateway has the order")
    live_worker.kill()
    live_worker.process.start()
    live_worker.wait_until_ready()
    assert outcome(wish).state == "done"
    eventually(lambda: PositionRecord.objects.filter(symbol="TSLA", status="open", quantity=10).first(), what="TSLA is held")
    assert len([o for o in truth.orders() if o["symbol"] == "TSLA" and o["side"] == "BUY"]) == 1
    assert truth.positions() == {"TSLA": 10}
    assert OrderRecord.objects.filter(symbol="TSLA", role="entry").count() == 1


def test_a_fill_learned_after_a_restart_is_recorded_once(live_worker, truth):
    wish = outcome(file_wish(approval("AMZN", quantity=50, through=-0.01)))
    order = OrderRecord.objects.get(signal_id=wish.signal_id, role="entry")
    eventually(lambda: OrderRecord.objects.get(pk=order.pk).state == "working", what="the entry works")
    live_worker.kill()
    truth.ask(set_price="AMZN", price=float(order.limit_price) - 0.5, hold=True)
    eventually(lambda: truth.positions().get("AMZN") == 50, what="it fills while nobody listens")
    live_worker.process.start()
    live_worker.wait_until_ready()
    eventually(lambda: PositionRecord.objects.filter(symbol="AMZN", status="open", quantity=50).exists(), what="the fill is learned")
    assert FillRecord.objects.filter(symbol="AMZN").count() == len(truth.executions())
    assert FillRecord.objects.filter(symbol="AMZN", recovered=True).exists()


def test_after_a_gateway_restart_the_worker_comes_back_and_agrees(live_worker, live_gateway, truth):
    open_position("AAPL")
    live_gateway.restart()
    eventually(lambda: WorkerLease.objects.filter(state="ready").first(), what="ready again")
    eventually(lambda: EventRecord.objects.filter(event_type="ReconcileEvent", data__ok=True).count() >= 2, what="compared again")
    assert truth.positions() == {"AAPL": 100}
    position = PositionRecord.objects.get(symbol="AAPL")
    assert (position.status, float(position.quantity)) == ("open", 100)
    assert outcome(file_wish(ClosePosition(position_id=position.pk))).state == "done"
    eventually(lambda: not truth.positions(), what="flat at the gateway")


def test_a_second_worker_refuses_to_start_with_one_sentence(live_worker, spawn, live_environment):
    second = spawn("second", "ibworker", environment=live_environment)
    assert second.wait() == 75
    assert "another worker is running" in second.output
    assert "Traceback" not in second.output
    assert live_worker.process.running


def test_sigterm_leaves_the_brokers_orders_as_they_are(live_worker, truth):
    open_position("AAPL")
    before = sorted(o["order_ref"] for o in working(truth))
    assert len(before) == 2
    live_worker.process.signal(signal.SIGTERM)
    assert live_worker.process.wait() == 0
    assert sorted(o["order_ref"] for o in working(truth)) == before
    assert WorkerLease.objects.get().state == "stopped"
    assert "Traceback" not in live_worker.process.output


def test_a_halt_refuses_entries_survives_a_restart_and_can_be_undone(live_worker, truth):
    assert outcome(file_wish(HaltTrading(reason="test of the switch"))).state == "done"
    wish = outcome(file_wish(approval("AAPL")))
    assert (wish.state, wish.code) == ("refused", "halted")
    live_worker.restart()
    assert TradingState.objects.get().state == "halted"
    assert outcome(file_wish(approval("AAPL"))).code == "halted"
    assert outcome(file_wish(ResumeTrading())).code == "no_reason"
    assert outcome(file_wish(ResumeTrading(reason="the test is over"))).state == "done"
    assert outcome(file_wish(approval("AAPL"))).state == "done"
    assert not [o for o in truth.orders() if o["symbol"] == "AAPL" and o["side"] == "BUY"][1:]


def test_a_working_entry_can_be_cancelled(live_worker, truth):
    wish = outcome(file_wish(approval("AMZN", through=-0.02)))
    order = OrderRecord.objects.get(signal_id=wish.signal_id, role="entry")
    assert outcome(file_wish(CancelOrder(order_id=order.pk))).state == "done"
    eventually(lambda: OrderRecord.objects.get(pk=order.pk).state == "canceled", what="IB confirmed the cancel")
    eventually(lambda: not working(truth), what="its children went with it")
    assert not PositionRecord.objects.filter(symbol="AMZN", status="open").exists()


def test_an_unknown_symbol_is_refused_in_words(live_worker):
    wish = outcome(file_wish(approval("ZZUNKNOWN", price=50.0)))
    assert (wish.state, wish.code) == ("refused", "unknown_symbol")


def test_the_watch_list_has_bars_and_quotes_soon_after_the_start(live_worker):
    eventually(lambda: MinuteBar.objects.filter(symbol="AAPL").count() > 100, what="AAPL is back-filled")
    assert last_price("AAPL") > 0
    health = WorkerLease.objects.get().health
    assert health["gateway"]["state"] == "ok"
    assert health["account"].startswith("DUSIM")


def test_a_rejection_keeps_ibs_own_words(live_worker, truth):
    truth.ask(fault="reject", match={"symbol": "META"}, times=1)
    wish = outcome(file_wish(approval("META")))
    order = eventually(
        lambda: OrderRecord.objects.filter(signal_id=wish.signal_id, role="entry", state="rejected").first(), what="rejected"
    )
    assert order.message
    assert not truth.positions()


def test_without_redis_a_wish_is_still_obeyed_and_redis_may_come_back(live_redis, live_worker, truth):
    live_redis.kill()
    open_position("AAPL")
    eventually(lambda: WorkerLease.objects.get().health["redis"]["state"] == "down", what="the loss is shown")
    live_redis.start()
    eventually(lambda: WorkerLease.objects.get().health["redis"]["state"] == "ok", what="its return is shown")


def test_while_ib_is_away_entries_wait_and_data_comes_back_after_it(live_worker, truth):
    price = last_price("AAPL")
    truth.ask(fault="upstream_lost")
    eventually(lambda: WorkerLease.objects.get().state != "ready", what="the worker is not ready")
    wish = file_wish(approval("AAPL", price=price, through=0.01), expires_in=60)
    truth.ask(fault="upstream_restored", data_kept=False)
    assert outcome(wish).state == "done"
    position = eventually(lambda: PositionRecord.objects.filter(symbol="AAPL", status="open").first(), what="it is held")
    marked = position.price_at
    eventually(lambda: PositionRecord.objects.get(pk=position.pk).price_at > marked, what="ticks mark it again")
    assert len([o for o in truth.orders() if o["side"] == "BUY"]) == 1


def test_a_backup_taken_while_it_trades_replays_to_the_same_books(live_worker, live_environment, tmp_path):
    open_position("AAPL")
    copy = tmp_path / "copy.sqlite3"
    if connection.vendor != "sqlite":
        with pytest.raises(CommandError, match="pg_dump"):
            call_command("backup", str(copy))
        return
    call_command("backup", str(copy))
    environment = clean_environment(live_environment | {"DATABASE_URL": f"sqlite:///{copy}"})
    command = [sys.executable, "manage.py", "replay", "--verify"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(sqlite3.connect(copy)) as link:
        assert link.execute("SELECT symbol FROM positions_positionrecord WHERE status = 'open'").fetchall() == [("AAPL",)]

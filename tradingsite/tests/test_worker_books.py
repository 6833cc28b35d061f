"""The worker's book beside the broker's: what other hands do, corrections and busts, differences and their resolutions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from events.commands import AcknowledgeDifference, AdoptHolding, CloseHolding, ClosePosition, ReleasePosition
from events.models import EventRecord
from positions.models import BrokerCheck, BrokerHolding, CashFlow, FillRecord, OrderRecord, PositionRecord, RiskLock
from positions.statement_check import check_statement
from positions.tests.gateway.outside_hand import trade_elsewhere
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


def newest():
    return BrokerCheck.objects.order_by("-at", "-pk").first()


def row_of(row_id):
    check = newest()
    return next((row for row in check.data["rows"] if row["id"] == row_id), None) if check else None


def compare_now(truth):
    """A reconcile after the next glitch of the link, sooner than the light one."""
    truth.ask(fault="notice", code=1102, text="Connectivity restored, data maintained.")


def row_in_state(row_id, state, truth):
    def found():
        row = row_of(row_id)
        if row is None or row["state"] != state:
            compare_now(truth)
            return None
        return row

    return eventually(found, every=1.0, what=f"{row_id} is {state}")


def test_equal_books_are_compared_stored_and_say_so(live_worker, truth):
    position = open_position("AAPL")
    row = row_in_state("position:AAPL", "match", truth)
    assert (row["ours"], row["theirs"], row["position_id"]) == (100, 100, position.pk)
    states = {(r["kind"], r["state"]) for r in newest().data["rows"]}
    assert states == {("position", "match"), ("order", "match"), ("execution", "match"), ("cash", "match")}
    assert newest().blocked == ""


def test_what_other_hands_buy_is_shown_survives_a_restart_and_can_be_adopted_with_a_stop(live_worker, live_gateway, truth):
    trade_elsewhere(live_gateway.port, "MSFT", 60)
    row = row_in_state("position:MSFT", "external", truth)
    assert (row["ours"], row["theirs"], row["blocks"]) == (0, 60, False)
    assert float(BrokerHolding.objects.get(symbol="MSFT").quantity) == 60
    fill = FillRecord.objects.get(symbol="MSFT")
    assert (fill.position_id, OrderRecord.objects.get(pk=fill.order_id).external) == ("", True)
    live_worker.restart()
    assert row_in_state("position:MSFT", "external", truth)["theirs"] == 60
    assert not PositionRecord.objects.filter(symbol="MSFT").exists()

    stop = round(last_price("MSFT") * 0.95, 2)
    assert outcome(file_wish(AdoptHolding(symbol="MSFT", quantity=50, stop_loss=stop, reason="mine"))).code == "changed"
    above = round(last_price("MSFT") * 1.05, 2)
    assert outcome(file_wish(AdoptHolding(symbol="MSFT", quantity=60, stop_loss=above, reason="mine"))).code == "wrong_side"
    wish = outcome(file_wish(AdoptHolding(symbol="MSFT", quantity=60, stop_loss=stop, reason="mine")))
    assert wish.state == "done", wish.reason
    position = eventually(lambda: PositionRecord.objects.filter(symbol="MSFT", stop_state="resting").first(), what="its stop rests")
    assert (float(position.quantity), float(position.stop_loss), position.strategy) == (60, stop, "adopted")
    assert [o["stop_price"] for o in truth.orders() if o["kind"] == "STP"] == [stop]
    assert float(BrokerHolding.objects.get(symbol="MSFT").quantity) == 0
    assert row_in_state("position:MSFT", "match", truth)["ours"] == 60
    assert truth.positions() == {"MSFT": 60}


def test_a_holding_made_elsewhere_is_closed_at_the_market_when_asked(live_worker, live_gateway, truth):
    trade_elsewhere(live_gateway.port, "MSFT", 30)
    row_in_state("position:MSFT", "external", truth)
    wish = outcome(file_wish(CloseHolding(symbol="MSFT", quantity=30, reason="not wanted")))
    assert wish.state == "done", wish.reason
    eventually(lambda: not truth.positions(), what="flat at the gateway")
    closed = eventually(lambda: PositionRecord.objects.filter(symbol="MSFT", status="closed").first(), what="closed here")
    assert "not wanted" in closed.reason


def test_an_order_made_elsewhere_is_shown_and_ends_when_it_is_gone(live_worker, live_gateway, truth):
    perm_id = trade_elsewhere(live_gateway.port, "AAPL", 10, limit=1.0)
    row = row_in_state(f"order:ext-{perm_id}", "external", truth)
    assert row["theirs"] == 10
    assert OrderRecord.objects.get(perm_id=perm_id).external
    truth.ask(fault="unsolicited_cancel", match={"order_ref": "by hand"})
    eventually(lambda: compare_now(truth) or OrderRecord.objects.get(perm_id=perm_id).state == "canceled", every=1.0, what="it is over")
    assert newest().blocked == ""


def test_a_correction_replaces_and_a_bust_takes_back_once(live_worker, truth):
    position = open_position("AAPL")
    [execution] = truth.executions()
    better = round(execution["price"] - 0.5, 2)
    truth.ask(fault="correction", exec_id=execution["exec_id"], price=better)
    eventually(lambda: PositionRecord.objects.get(pk=position.pk).entry_price == Decimal(str(better)), what="the entry is corrected")
    assert list(FillRecord.objects.filter(superseded=False).values_list("price", flat=True)) == [Decimal(str(better))]
    compare_now(truth)
    live_worker.restart()
    row = row_in_state("position:AAPL", "match", truth)
    assert row["ours"] == 100
    assert row_in_state("cash:USD", "match", truth)["difference"] == 0
    truth.ask(fault="bust", match={"exec_id": truth.executions()[-1]["exec_id"]})
    eventually(lambda: not FillRecord.objects.filter(superseded=False).exists(), what="nothing counts any more")
    assert truth.positions() == {}
    assert row_in_state("cash:USD", "match", truth)["difference"] == 0
    assert not PositionRecord.objects.filter(symbol="AAPL", status="open").exists()


def resting(truth, kind):
    return [order["quantity"] for order in truth.orders() if order["live"] and order["kind"] == kind]


def test_a_lowered_entry_ends_its_order_and_shrinks_its_stop_live_and_after_a_restart(live_worker, truth):
    position = open_position("AAPL")
    [execution] = truth.executions()
    truth.ask(fault="correction", exec_id=execution["exec_id"], quantity=90)
    entry = OrderRecord.objects.get(position_id=position.pk, role="entry")
    eventually(lambda: OrderRecord.objects.get(pk=entry.pk).state == "canceled", what="the broker's lists settle it")
    eventually(lambda: resting(truth, "STP") == [90], what="its stop is as large as the position")
    assert (truth.positions(), PositionRecord.objects.get(pk=position.pk).quantity) == ({"AAPL": 90}, 90)
    assert "90 of 100 remain" in OrderRecord.objects.get(pk=entry.pk).message
    assert row_in_state("cash:USD", "match", truth)["difference"] == 0

    live_worker.kill()
    truth.ask(fault="correction", exec_id=truth.executions()[-1]["exec_id"], quantity=80)
    live_worker.process.start()
    eventually(lambda: resting(truth, "STP") == [80], what="what was corrected meanwhile is learned and the stop follows")
    assert row_in_state("position:AAPL", "match", truth)["ours"] == 80
    assert OrderRecord.objects.get(pk=entry.pk).state == "canceled"
    assert newest().blocked == ""


def test_a_lowered_exit_reopens_the_closed_position_with_the_rest_and_a_stop_also_after_a_restart(live_worker, truth):
    position = open_position("AAPL")
    assert outcome(file_wish(ClosePosition(position_id=position.pk))).state == "done"
    eventually(lambda: PositionRecord.objects.get(pk=position.pk).status == "closed", what="closed")
    live_worker.restart()
    truth.ask(fault="correction", exec_id=truth.executions()[-1]["exec_id"], quantity=90)
    again = eventually(lambda: PositionRecord.objects.filter(status="open", stop_state="resting").first(), what="its stop rests")
    assert (again.pk, again.quantity, again.entry_price, again.close_time) == (position.pk, 10, position.entry_price, None)
    assert (resting(truth, "STP"), truth.positions()) == ([10], {"AAPL": 10})
    exits = OrderRecord.objects.filter(role="exit")
    eventually(lambda: [order.state for order in exits.all()] == ["canceled"], what="the exit is over with ninety")
    assert row_in_state("position:AAPL", "match", truth)["ours"] == 10
    assert newest().blocked == ""


def test_shares_nobody_can_explain_stop_entries_until_a_person_acknowledges_them(live_worker, live_gateway, truth):
    open_position("AAPL")
    live_worker.kill()
    PositionRecord.objects.update(quantity=0, status="closed")  # a copy of the books from before the fill
    OrderRecord.objects.update(state="canceled", position_id="", updated_at="2026-01-01T00:00Z")
    FillRecord.objects.all().delete()
    live_worker.process.start()
    eventually(lambda: "carries our reference" in newest().blocked, what="the orders that nobody here knows")
    wish = outcome(file_wish(approval("MSFT", price=100.0)))
    assert (wish.state, wish.code) == ("refused", "books_differ")

    def all_acknowledged():
        for row in newest().data["rows"]:
            if row["blocks"]:
                outcome(file_wish(AcknowledgeDifference(row=row["id"], ours=row["ours"] or 0, theirs=row["theirs"] or 0, reason="a copy")))
        return newest().blocked == ""

    eventually(all_acknowledged, every=1.0, what="nothing blocks any more")
    live_worker.wait_until_ready()
    assert EventRecord.objects.filter(event_type="CommandEvent", data__name="AcknowledgeDifference").exists()


def test_a_released_position_stays_at_the_broker_and_is_not_ours(live_worker, truth):
    position = open_position("AAPL")
    wish = outcome(file_wish(ReleasePosition(position_id=position.pk, quantity=100, reason="I look after it myself")))
    assert wish.state == "done", wish.reason
    eventually(lambda: not [o for o in truth.orders() if o["live"]], what="its stop and target are gone")
    assert truth.positions() == {"AAPL": 100}
    assert PositionRecord.objects.get(pk=position.pk).status == "closed"
    assert PositionRecord.objects.get(pk=position.pk).realized_pnl == -PositionRecord.objects.get(pk=position.pk).commission
    assert row_in_state("position:AAPL", "external", truth)["theirs"] == 100
    assert newest().blocked == ""


def test_cash_that_moves_without_an_execution_is_found_and_acknowledged(live_worker, truth):
    open_position("AAPL")
    before = truth.ask(query="account")["rows"]["cash"]
    truth.ask(set_cash=before - 30_000)  # a withdrawal, deeper than the drawdown that locks
    row = row_in_state("cash:USD", "differs", truth)  # the gateway repeats account values every 30 s
    assert round(row["difference"], 2) == -30_000
    assert "Cash" in newest().blocked
    flow = CashFlow.objects.get()
    assert (flow.amount, flow.kind, flow.source, flow.by) == (-30_000, "withdrawal", "broker", "")
    assert flow.equity_before > 50_000
    wish = AcknowledgeDifference(row="cash:USD", ours=row["ours"], theirs=row["theirs"], reason="taken home", kind="withdrawal")
    wish = outcome(file_wish(wish))
    assert wish.state == "done", wish.reason
    live_worker.wait_until_ready()
    assert row_in_state("cash:USD", "match", truth)["theirs"] == pytest.approx(before - 30_000)
    assert (CashFlow.objects.get().by != "", CashFlow.objects.get().source) == (True, "person")
    assert not RiskLock.objects.exists()


def test_the_brokers_own_statement_of_the_day_agrees_to_the_cent_and_a_lost_fill_is_found(live_worker, live_gateway, truth):
    position = open_position("AAPL")
    trade_elsewhere(live_gateway.port, "MSFT", 10)
    assert outcome(file_wish(ClosePosition(position_id=position.pk))).state == "done"
    row_in_state("position:MSFT", "external", truth)
    eventually(lambda: PositionRecord.objects.get(pk=position.pk).status == "closed", what="closed")
    eventually(lambda: not FillRecord.objects.filter(commission=None).exists() and FillRecord.objects.count() == len(truth.executions()))
    for kind in ("flex", "activity"):
        check = check_statement(truth.ask(query="statement", format=kind)["rows"].encode(), file_name=f"{kind}.txt")
        assert check.ok, check.data
        assert check.matched >= 3
        assert [total["difference"] for total in check.data["totals"]] == [0, 0, 0]
    FillRecord.objects.filter(symbol="MSFT").delete()
    check = check_statement(truth.ask(query="statement")["rows"].encode(), file_name="again.xml")
    assert (check.ok, check.missing_here) == (False, 1)

"""What the broker said of margin, and locks, on the card and in the decision."""

from events.clock import utc_now
from positions.domain.margin import Margin
from positions.models import MarginAnswer, RiskLock
from signals.models import SignalRecord
from signals.tests.pages.proposals import pending_proposals


def answered(signal_id, **changes):
    said = {"symbol": "AAPL", "side": "buy", "quantity": 100.0, "limit_price": 150.2, "held": 0.0, "initial_change": 7_510.0}
    said |= {"maintenance_change": 3_755.0, "commission": 1.0, "excess_liquidity": 100_000.0, "asked_at": utc_now()}
    MarginAnswer.objects.create(signal_id=signal_id, asked_at=utc_now(), data=Margin(**(said | changes)).to_dict())


def approve(client, ticket, **changes):
    return client.post("/signals/s1/approve", ticket(**changes), headers={"accept": "application/json"})


def test_the_card_shows_the_margin_and_the_approval_keeps_it(make_signal, signed_in, ticket):
    make_signal("s1")
    answered("s1")
    [row] = [p.as_row() for p in pending_proposals()]
    assert (row["margin"], row["margin_commission"], round(row["margin_share_pct"], 2)) == (7_510.0, 1.0, 7.51)
    assert approve(signed_in(), ticket).status_code == 202
    assert SignalRecord.objects.get().decision["margin"]["initial_change"] == 7_510.0


def test_margin_beyond_the_share_of_what_is_free_is_refused_also_for_a_larger_size(make_signal, signed_in, ticket):
    make_signal("s1")
    answered("s1", initial_change=30_000.0)
    answer = approve(signed_in(), ticket, quantity=200)
    assert (answer.status_code, answer.json()["code"]) == (422, "margin")


def test_without_the_brokers_word_the_card_says_so_and_an_error_blocks(make_signal, signed_in, ticket):
    make_signal("s1")
    [proposal] = pending_proposals()
    assert any("has not said yet what margin" in warning for warning in proposal.warnings)
    MarginAnswer.objects.create(signal_id="s1", asked_at=utc_now(), error="The broker did not answer.")
    assert approve(signed_in(), ticket).json()["code"] == "no_what_if"


def test_a_lock_blocks_the_card_and_says_until_when(make_signal, signed_in, ticket):
    make_signal("s1")
    RiskLock.objects.create(
        account="DUSIM001", cause="c", code="losing_streak", scope="symbol", name="AAPL", reason="4 losing trades.", since=utc_now()
    )
    [proposal] = pending_proposals()
    [objection] = proposal.objections
    assert "AAPL locked until a person clears it: 4 losing trades." in objection.message
    assert proposal.as_row()["refusals"][0]["figures"] == []  # the lock's key says nothing to a person
    assert "let an admin clear the lock" in proposal.as_row()["refusals"][0]["what_to_do"]
    assert approve(signed_in(), ticket).json()["code"] == "locked_losing_streak"

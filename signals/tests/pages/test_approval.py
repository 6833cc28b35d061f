"""Deciding about a signal: one decision, one command, everything checked again, and clear words for who lost."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import ApproveSignal, parse_command
from events.models import CommandRecord, EventRecord, WorkerLease
from events.tape import tape_text
from positions.models import BrokerHolding, EquityPoint, PositionRecord, RiskLimits, TradingState
from signals.models import SignalRecord, SignalSettings

pytestmark = pytest.mark.django_db

AS_JSON = {"HTTP_ACCEPT": "application/json"}
Maker = Callable[..., Any]


def post(client: Client, what: str, form: dict[str, Any], signal_id: str = "s1") -> Any:
    return client.post(f"/signals/{signal_id}/{what}", form, **AS_JSON)


def test_approving_sets_the_signal_and_files_one_command_with_the_numbers_seen(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    answer = post(signed_in(), "approve", ticket())
    assert answer.status_code == 202, answer.content
    signal, record = SignalRecord.objects.get(), CommandRecord.objects.get()
    assert (signal.state, signal.version, signal.decided_by) == ("approved", 2, "ann")
    assert signal.decision["edited"] == []
    command = parse_command(record.name, record.payload)
    assert isinstance(command, ApproveSignal)
    assert (command.symbol, command.direction, command.quantity, command.limit_price) == ("AAPL", 1, 100, 150.2)
    assert (command.stop_loss, command.take_profit, command.reference_price, command.version) == (149.2, 152.2, 150.0, 1)
    assert record.created_by is not None
    assert record.expires_at is not None
    assert timedelta(0) < record.expires_at - utc_now() <= timedelta(seconds=30)
    assert answer.json()["command"]["id"] == record.pk


def test_an_edited_ticket_is_what_is_sent_and_the_edit_is_on_record(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    assert post(signed_in(), "approve", ticket(quantity=40, stop=149.0)).status_code == 202
    assert CommandRecord.objects.get().payload["quantity"] == 40
    assert SignalRecord.objects.get().decision["edited"] == ["quantity", "stop"]


def test_rejecting_needs_a_reason_and_sends_nothing_to_the_broker(make_signal: Maker, signed_in: Maker) -> None:
    make_signal()
    client = signed_in()
    assert post(client, "reject", {"key": "k" * 10, "version": 1}).status_code == 400
    assert post(client, "reject", {"key": "k" * 10, "version": 1, "reason": "because"}).status_code == 400
    assert post(client, "reject", {"key": "k" * 10, "version": 1, "reason": "news", "note": "<b>FDA</b>"}).status_code == 202
    signal = SignalRecord.objects.get()
    assert (signal.state, signal.reason, signal.decided_by) == ("rejected", "News or earnings: <b>FDA</b>", "ann")
    assert [record.name for record in CommandRecord.objects.all()] == ["RejectSignal"]


def test_the_same_form_sent_twice_is_answered_alike_and_files_one_command(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    client = signed_in()
    first, second = post(client, "approve", ticket()), post(client, "approve", ticket())
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["command"]["id"] == second.json()["command"]["id"]
    assert CommandRecord.objects.count() == 1


def test_a_second_person_is_told_who_decided_and_when(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    post(signed_in("ann"), "approve", ticket())
    answer = post(signed_in("bob"), "approve", ticket(key="another-form"))
    assert answer.status_code == 409
    assert "already approved by ann at" in answer.json()["error"]
    assert post(signed_in("bob"), "reject", {"key": "another-form", "version": 1, "reason": "news"}).status_code == 409
    assert CommandRecord.objects.count() == 1
    assert SignalRecord.objects.get().state == "approved"


def test_a_second_tab_of_the_same_person_is_a_conflict_too(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    client = signed_in()
    post(client, "approve", ticket())
    assert post(client, "approve", ticket(key="the-other-tab")).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_people_who_click_at_the_same_moment_make_one_command(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    clients = [signed_in(name) for name in ("ann", "bob", "cy", "dee")]
    gate, answers = threading.Barrier(len(clients) * 2), []

    def click(client: Client, key: str) -> None:
        gate.wait()
        answers.append(post(client, "approve", ticket(key=key)).status_code)
        connection.close()

    threads = [
        threading.Thread(target=click, args=(client, f"tab-{m}-of-person-{n}")) for n, client in enumerate(clients) for m in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [202] + [409] * 7
    assert CommandRecord.objects.count() == 1
    assert SignalRecord.objects.get().version == 2


@pytest.mark.django_db(transaction=True)
def test_approve_and_reject_at_the_same_moment_leave_one_decision(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    for n in range(5):
        SignalRecord.objects.all().update(state="expired")
        make_signal(f"race-{n}")
        gate, answers = threading.Barrier(2), []

        def click(client: Client, what: str, form: dict[str, Any], n: int = n, gate: Any = gate, answers: list[int] = answers) -> None:
            gate.wait()
            answers.append(post(client, what, form, f"race-{n}").status_code)
            connection.close()

        forms = [("approve", ticket()), ("reject", {"key": "reject-form", "version": 1, "reason": "news"})]
        threads = [threading.Thread(target=click, args=(signed_in(name), *form)) for name, form in zip(("ann", "bob"), forms, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [202, 409]
        assert CommandRecord.objects.filter(signal_id=f"race-{n}").count() == 1


def test_a_signal_that_changed_since_it_was_looked_at_must_be_looked_at_again(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal(version=4)
    answer = post(signed_in(), "approve", ticket(version=3))
    assert answer.status_code == 409
    assert "has changed since" in answer.json()["error"]
    assert post(signed_in(), "approve", ticket(version=4)).status_code == 202


# ---- roles, tokens, methods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_a_viewer_is_refused_by_the_server(make_signal: Maker, signed_in: Maker, ticket: Maker, what: str) -> None:
    make_signal()
    assert post(signed_in("eve", role="viewer"), what, ticket() | {"reason": "news"}).status_code == 403
    assert SignalRecord.objects.get().state == "pending"


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_strangers_log_in_first_gets_are_not_decisions_and_tokens_are_required(
    make_signal: Maker, signed_in: Maker, ticket: Maker, what: str
) -> None:
    make_signal()
    assert post(Client(), what, ticket()).status_code == 302
    assert signed_in().get(f"/signals/s1/{what}").status_code == 405
    assert post(signed_in("ann", csrf=True), what, ticket() | {"reason": "news"}).status_code == 403
    assert SignalRecord.objects.get().state == "pending"


# ---- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["quantity", "entry", "stop", "target", "version", "key"])
@pytest.mark.parametrize("value", ["NaN", "inf", "-1", "1e400", "abc", "<script>", "9" * 60, "\x00", "0", "１２x", ""])
def test_bad_numbers_get_clear_words_and_a_4xx(make_signal: Maker, signed_in: Maker, ticket: Maker, field: str, value: str) -> None:
    make_signal()
    answer = post(signed_in(), "approve", ticket(**{field: value}))
    if answer.status_code == 202:
        assert (field, value) == ("target", ""), "only a missing target is no mistake"
        return
    assert answer.status_code in (400, 409, 422)
    assert answer.json()["error"].endswith(".")
    assert not CommandRecord.objects.exists()
    assert SignalRecord.objects.get().state == "pending"


@pytest.mark.parametrize("field", ["quantity", "entry", "stop", "version", "key"])
def test_missing_fields_are_named(make_signal: Maker, signed_in: Maker, ticket: Maker, field: str) -> None:
    make_signal()
    assert post(signed_in(), "approve", ticket(**{field: None})).status_code in (400, 422)
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize("signal_id", ["none", "x" * 200, "%3Cscript%3E", "☃"])
def test_an_unknown_signal_is_not_found(desk: Any, signed_in: Maker, ticket: Maker, signal_id: str) -> None:
    client = signed_in()
    assert post(client, "approve", ticket(), signal_id).status_code == 404
    assert client.get(f"/signals/{signal_id}/").status_code == 404


# ---- what stands against it -------------------------------------------------------------------------------------------


def _halt() -> None:
    TradingState.objects.update(state="halted", reason="I saw something")


def _worker_gone() -> None:
    WorkerLease.objects.update(heartbeat_at=utc_now() - timedelta(minutes=1))


def _held_short() -> None:
    now = utc_now()
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p",
        symbol="AAPL",
        status="open",
        direction=-1,
        quantity=-10,
        entry_price=150,
        current_price=150,
        created_at=now,
        updated_at=now,
    )


OBJECTIONS: list[tuple[str, Callable[[], Any]]] = [
    ("halted", _halt),
    ("reduce_only", lambda: TradingState.objects.update(state="reduce_only")),
    ("worker_down", _worker_gone),
    ("expired", lambda: SignalRecord.objects.update(expires_at=utc_now() - timedelta(seconds=1))),
    ("old_data", lambda: SignalRecord.objects.update(data_time=utc_now() - timedelta(hours=1))),
    ("restricted", lambda: RiskLimits.objects.update(restricted_symbols="tsla aapl")),
    ("max_quantity", lambda: RiskLimits.objects.update(max_order_quantity=99)),
    ("max_notional", lambda: RiskLimits.objects.update(max_order_notional=15_000)),
    ("max_position", lambda: RiskLimits.objects.update(max_position_notional=15_000)),
    ("max_positions", lambda: RiskLimits.objects.update(max_open_positions=0)),
    ("max_risk", lambda: RiskLimits.objects.update(max_open_risk=50)),
    ("daily_loss", lambda: EquityPoint.objects.update(day_pnl=-10_000)),
    ("opposite_position", _held_short),
    (
        "opposite_holding",
        lambda: BrokerHolding.objects.create(account=SIMULATED_ACCOUNT, symbol="AAPL", quantity=-28, updated_at=utc_now()),
    ),
]


@pytest.mark.parametrize(("code", "arrange"), OBJECTIONS, ids=[code for code, _ in OBJECTIONS])
def test_whatever_stands_against_it_is_refused_and_the_card_says_the_same(
    make_signal: Maker, signed_in: Maker, ticket: Maker, code: str, arrange: Callable[[], Any]
) -> None:
    make_signal()
    arrange()
    client = signed_in()
    answer = post(client, "approve", ticket())
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not CommandRecord.objects.exists()
    rows = [row for row in client.get("/live/signals").json()["rows"] if row["state"] == "pending"]
    # With smaller limits the card proposes a smaller size instead; everything else disables Approve with the same reason.
    if rows and code not in ("max_quantity", "max_notional", "max_risk", "max_position"):
        assert rows[0]["refusals"][0]["code"] == code


@pytest.mark.parametrize(
    ("code", "quote"),
    [
        ("stale_price", {"age": 60}),
        ("drift", {"last": 152.0}),
        ("not_live", {"live": False}),
        ("no_price", {"last": -1, "bid": None, "ask": None}),
    ],
)
def test_a_price_that_is_old_far_or_not_live_is_refused(
    desk: Any, make_signal: Maker, signed_in: Maker, ticket: Maker, code: str, quote: Any
) -> None:
    make_signal()
    desk.quote("AAPL", **quote)
    answer = post(signed_in(), "approve", ticket(stop=149.2, entry=150.2 if code != "drift" else 152.2, target=155))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("stop_side", {"stop": 150.5}),
        ("stop_side", {"stop": 150.1}),
        ("target_side", {"target": 150.0}),
        ("no_stop", {"stop": ""}),
        ("price_collar", {"entry": 160, "target": 170}),
    ],
)
def test_levels_on_the_wrong_side_are_refused(make_signal: Maker, signed_in: Maker, ticket: Maker, code: str, changes: Any) -> None:
    make_signal()
    answer = post(signed_in(), "approve", ticket(**changes))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_close_sends_no_stop_and_no_target_and_never_more_than_is_held(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal(direction=-1, action="close_long")
    now = utc_now()
    client = signed_in()
    assert post(client, "approve", ticket(entry=149.8)).json()["code"] == "nothing_held"
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p",
        symbol="AAPL",
        status="open",
        quantity=60,
        entry_price=140,
        current_price=150,
        created_at=now,
        updated_at=now,
    )
    TradingState.objects.update(state="reduce_only")
    assert post(client, "approve", ticket(entry=149.8)).json()["code"] == "too_many"
    assert post(client, "approve", ticket(entry=149.8, quantity=60)).status_code == 202
    payload = CommandRecord.objects.get().payload
    assert (payload["action"], payload["stop_loss"], payload["take_profit"]) == ("close_long", None, None)


def test_buying_back_a_short_sends_no_levels_and_never_more_than_is_short(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal(action="close_short")
    now = utc_now()
    client = signed_in()
    assert post(client, "approve", ticket()).json()["code"] == "nothing_held"
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id="p",
        symbol="AAPL",
        status="open",
        quantity=-60,
        entry_price=160,
        current_price=150,
        created_at=now,
        updated_at=now,
    )
    TradingState.objects.update(state="reduce_only")
    [row] = [row for row in client.get("/live/signals").json()["rows"] if row["state"] == "pending"]
    assert (row["quantity"], row["stop"], row["target"], row["refusals"]) == (60, None, None, [])
    assert post(client, "approve", ticket(quantity=61)).json()["code"] == "too_many"
    assert post(client, "approve", ticket(quantity=60)).status_code == 202
    payload = CommandRecord.objects.get().payload
    assert (payload["action"], payload["stop_loss"], payload["take_profit"]) == ("close_short", None, None)


def test_the_journal_keeps_who_decided_and_what_was_edited(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    client = signed_in()
    assert post(client, "approve", ticket(quantity=7, shown_quantity=100)).status_code == 202
    [event] = EventRecord.objects.filter(event_type="SignalDecisionEvent", signal_id="s1")
    told = event.data
    assert (told["state"], told["decided_by"], told["quantity"]) == ("approved", "ann", 7)
    assert "quantity" in told["edited"]
    page = client.get("/signals/s1/").content.decode()
    assert "signal decision" in page.lower()
    assert tape_text(told).startswith("Approved by ann: 7 at 150.")
    assert "changed by hand: quantity" in tape_text(told)
    make_signal("s2", symbol="MSFT")
    reason = {"reason": "news", "key": "k" * 10, "version": 1}
    assert client.post("/signals/s2/reject", reason, HTTP_ACCEPT="application/json").status_code == 202
    [event] = EventRecord.objects.filter(event_type="SignalDecisionEvent", signal_id="s2")
    assert (event.data["state"], event.data["reason"]) == ("rejected", "News or earnings")


def test_settings_of_the_admin_hold_at_once(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    SignalSettings.objects.update(max_age_seconds=0)
    assert post(signed_in(), "approve", ticket()).json()["code"] == "old_data"


def test_a_plain_form_without_scripts_gets_pages(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    client = signed_in()
    refused = client.post("/signals/s1/approve", ticket(stop=151), HTTP_ACCEPT="text/html")
    assert refused.status_code == 422
    assert b"must be below" in refused.content
    accepted = client.post("/signals/s1/approve", ticket(), HTTP_ACCEPT="text/html")
    assert accepted.status_code == 302
    assert accepted["Location"] == "/signals/s1/"


def test_nothing_is_left_behind_when_the_command_cannot_be_filed(
    make_signal: Maker, signed_in: Maker, ticket: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_signal()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr("signals.approval.file_command", broken)
    client = signed_in()
    client.raise_request_exception = False
    assert post(client, "approve", ticket()).status_code == 500
    assert SignalRecord.objects.get().state == "pending"
    assert not CommandRecord.objects.exists()
    assert json.dumps(SignalRecord.objects.get().decision) == "{}"

"""Deciding again: an approval that sent nothing gives its signal back, once, and only when that is proven."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord, EventRecord
from events.tape import tape_text
from positions.models import OrderRecord
from signals import store
from signals.models import PredictionRecord, SignalRecord

pytestmark = pytest.mark.django_db

AS_JSON = {"HTTP_ACCEPT": "application/json"}
MOVED = "The price moved from 150 to 152. Nothing was sent. If you still want it, decide again by the new numbers."
Maker = Callable[..., Any]


def post(client: Client, what: str, form: dict[str, Any], signal_id: str = "s1") -> Any:
    return client.post(f"/signals/{signal_id}/{what}", form, **AS_JSON)


def again(client: Client, version: int = 2, signal_id: str = "s1") -> Any:
    return post(client, "decide-again", {"version": version}, signal_id)


def answer_command(state: str = "refused", code: str = "moved_price") -> CommandRecord:
    """The worker's answer to the newest command."""
    record = CommandRecord.objects.order_by("-id")[0]
    record.state, record.code, record.reason, record.finished_at = state, code, MOVED, utc_now()
    record.save()
    return record


def order_of(command: CommandRecord, **fields: Any) -> OrderRecord:
    now = utc_now()
    row = {"order_id": uuid.uuid4().hex, "order_ref": "TD-E", "intent_id": command.intent_id, "role": "entry", "symbol": "AAPL"}
    row |= {"side": "buy", "order_type": "limit", "time_in_force": "day", "quantity": 100, "created_at": now, "updated_at": now}
    return OrderRecord.objects.create(account=SIMULATED_ACCOUNT, **row | fields)


@pytest.fixture
def refused(make_signal: Maker, signed_in: Maker, ticket: Maker) -> CommandRecord:
    """Ann approved the signal, and the worker refused it because the price had moved."""
    make_signal()
    assert post(signed_in("ann"), "approve", ticket()).status_code == 202
    return answer_command()


@pytest.mark.parametrize("end", ["refused", "expired"])
def test_a_signal_whose_approval_sent_nothing_waits_again_and_can_be_approved_by_new_numbers(
    refused: CommandRecord, signed_in: Maker, ticket: Maker, end: str
) -> None:
    before = SignalRecord.objects.get()
    answer_command(end)
    bob = signed_in("bob")
    assert (again(bob).status_code, again(bob).status_code) == (200, 200)
    signal = SignalRecord.objects.get()
    assert (signal.state, signal.version, signal.expires_at) == ("pending", 3, before.expires_at)
    assert (signal.decided_by, signal.decided_at, signal.decision, signal.reason) == ("", None, {}, "")
    [row] = [row for row in bob.get("/live/signals").json()["rows"] if row["state"] == "pending"]
    assert (row["v"], row["quantity"] > 0) == (3, True)
    assert post(bob, "approve", ticket(key="the-second-form", version=3, quantity=40)).status_code == 202
    first, second = CommandRecord.objects.order_by("id")
    assert (first.pk, first.state, first.reason) == (refused.pk, end, MOVED)
    assert (second.state, second.payload["version"], second.payload["quantity"], second.payload["decided_by"]) == ("pending", 3, 40, "bob")


def test_the_journal_keeps_the_first_decision_and_says_who_asked_to_decide_again_and_why(refused: CommandRecord, signed_in: Maker) -> None:
    assert again(signed_in("bob")).status_code == 200
    assert EventRecord.objects.get(event_type="SignalDecisionEvent").data["decided_by"] == "ann"
    event = EventRecord.objects.get(event_type="SignalReopenedEvent")
    assert (event.signal_id, event.symbol, event.cause) == ("s1", "AAPL", f"command {refused.pk}")
    assert (event.data["version"], event.data["reopened_by"], event.data["code"]) == (3, "bob", "moved_price")
    assert tape_text(event.data) == "To be decided again, asked for by bob: the approval came to nothing, price moved"


def test_a_form_of_the_first_decision_sent_late_changes_nothing(refused: CommandRecord, signed_in: Maker, ticket: Maker) -> None:
    ann = signed_in("ann")
    again(ann)
    assert post(ann, "approve", ticket()).json()["code"] == "changed"
    assert post(ann, "approve", ticket(key="the-second-form", version=3)).status_code == 202
    assert post(ann, "approve", ticket()).json()["code"] == "already_approved"
    assert CommandRecord.objects.count() == 2


def test_the_second_form_sent_twice_is_answered_with_the_second_command(refused: CommandRecord, signed_in: Maker, ticket: Maker) -> None:
    ann = signed_in("ann")
    again(ann)
    form = ticket(key="the-second-form", version=3)
    answers = [post(ann, "approve", form).json()["command"]["id"] for _ in range(2)]
    assert answers == [CommandRecord.objects.latest("id").pk] * 2
    assert answers[0] != refused.pk


def test_a_button_of_the_first_refusal_does_not_undo_the_second_decision(refused: CommandRecord, signed_in: Maker, ticket: Maker) -> None:
    ann = signed_in("ann")
    again(ann)
    post(ann, "approve", ticket(key="the-second-form", version=3))
    assert (again(ann).status_code, again(ann).json()["code"]) == (409, "on_its_way")
    answer_command()
    assert again(ann).json()["code"] == "changed"
    assert again(ann, version=4).status_code == 200


@pytest.mark.parametrize(("state", "code"), [("pending", "on_its_way"), ("claimed", "on_its_way"), ("done", "was_sent")])
def test_an_approval_that_may_yet_send_or_has_sent_is_not_decided_again(
    refused: CommandRecord, signed_in: Maker, state: str, code: str
) -> None:
    CommandRecord.objects.update(state=state)
    answer = again(signed_in())
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert SignalRecord.objects.get().state == "approved"


@pytest.mark.parametrize("state", ["rejected", "expired", "superseded", "filtered"])
def test_a_signal_that_ended_otherwise_is_not_decided_again(make_signal: Maker, signed_in: Maker, state: str) -> None:
    make_signal(state=state)
    answer = again(signed_in(), version=1)
    assert (answer.status_code, answer.json()["code"]) == (409, f"already_{state}")
    assert SignalRecord.objects.get().state == state


SEEN = [
    {"state": "in_doubt"},
    {"state": "sending"},
    {"state": "working", "perm_id": 7},
    {"state": "rejected"},
    {"state": "filled", "filled_quantity": 100},
    {"state": "canceled", "perm_id": 7},
    {"state": "canceled", "ib_status": "Cancelled"},
    {"state": "canceled", "filled_quantity": 1},
    {"state": "expired"},
]


@pytest.mark.parametrize("seen", SEEN, ids=[" ".join(map(str, seen.values())) for seen in SEEN])
@pytest.mark.parametrize("known_by", [{"signal_id": "s1", "intent_id": "command-0"}, {"signal_id": "another"}], ids=["signal", "wish"])
def test_an_order_that_may_have_been_at_the_broker_keeps_the_signal_decided(
    refused: CommandRecord, signed_in: Maker, seen: dict[str, Any], known_by: dict[str, str]
) -> None:
    order_of(refused, state="denied", signal_id="s1", order_ref="TD-first")
    order_of(refused, **seen, **{"intent_id": refused.intent_id} | known_by)
    client = signed_in()
    answer = again(client)
    assert (answer.status_code, answer.json()["code"]) == (409, "may_have_left")
    assert "TD-E" in answer.json()["error"]
    assert SignalRecord.objects.get().state == "approved"
    assert "Decide again" not in client.get("/signals/s1/").content.decode()


@pytest.mark.parametrize(
    "state", [{"state": "denied"}, {"state": "canceled", "code": "never_sent"}, {"state": "canceled", "code": "link_down"}]
)
def test_an_order_that_never_left_does_not_stand_in_the_way(refused: CommandRecord, signed_in: Maker, state: dict[str, str]) -> None:
    order_of(refused, signal_id="s1", **state)
    assert again(signed_in()).status_code == 200


def test_a_signal_whose_time_ran_out_meanwhile_stays_decided_and_the_page_says_so(refused: CommandRecord, signed_in: Maker) -> None:
    SignalRecord.objects.update(expires_at=utc_now() - timedelta(seconds=1))
    client = signed_in()
    answer = again(client)
    assert (answer.status_code, answer.json()["code"]) == (409, "expired")
    assert "ended at" in answer.json()["error"]
    page = client.get("/signals/s1/").content.decode()
    assert "The signal itself ended at" in page
    assert "Decide again" not in page


@pytest.mark.parametrize("state", ["pending", "approved", "expired", "filtered"])
def test_a_newer_signal_of_the_symbol_takes_its_place(refused: CommandRecord, make_signal: Maker, signed_in: Maker, state: str) -> None:
    make_signal("s2", direction=-1, state=state)
    assert again(signed_in()).json()["code"] == "superseded"
    assert SignalRecord.objects.get(pk="s1").state == "approved"


def test_a_signal_that_comes_between_the_look_and_the_write_takes_its_place_too(
    refused: CommandRecord, make_signal: Maker, signed_in: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reopen = store.reopen

    def a_moment_later(signal: SignalRecord, **told: Any) -> bool:
        make_signal("s2")
        return reopen(signal, **told)

    monkeypatch.setattr(store, "reopen", a_moment_later)
    answer = again(signed_in())
    assert (answer.status_code, answer.json()["code"]) == (409, "superseded")
    assert dict(SignalRecord.objects.values_list("pk", "state")) == {"s1": "approved", "s2": "pending"}
    assert not EventRecord.objects.filter(event_type="SignalReopenedEvent").exists()


def test_a_prediction_that_was_revised_to_say_otherwise_ends_it_and_a_signal_of_another_symbol_does_not(
    refused: CommandRecord, make_signal: Maker, signed_in: Maker
) -> None:
    make_signal("s2", symbol="MSFT")
    was = SignalRecord.objects.get(pk="s1").prediction
    for change in ({"word": "SELL"}, {"word": "NEUTRAL"}, {"confidence": 0.5}):
        PredictionRecord.objects.filter(pk=was.pk).update(**change)
        assert again(signed_in()).json()["code"] == "revised"
        was.save()
    assert again(signed_in()).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_people_who_press_at_the_same_moment_reopen_it_once(refused: CommandRecord, signed_in: Maker) -> None:
    clients = [signed_in(name) for name in ("ann", "bob", "cy", "dee")]
    gate, answers = threading.Barrier(len(clients)), []

    def press(client: Client) -> None:
        gate.wait()
        answers.append(again(client).status_code)
        connection.close()

    threads = [threading.Thread(target=press, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409}
    assert 200 in answers
    assert SignalRecord.objects.get().version == 3
    assert EventRecord.objects.filter(event_type="SignalReopenedEvent").count() == 1


# ---- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_refusal_with_a_button_that_brings_the_card_back(refused: CommandRecord, signed_in: Maker) -> None:
    client = signed_in()
    page = client.get("/signals/s1/").content.decode()
    assert "Decide again" in page
    assert "data-approve" not in page
    answer = client.post("/signals/s1/decide-again", {"version": 2}, follow=True)
    assert answer.redirect_chain == [("/signals/s1/", 302)]
    page = answer.content.decode()
    assert "waits for your decision again" in page
    assert "data-approve" in page
    assert MOVED in page  # the refused command is still told of
    assert "Decide again" not in page


def test_no_button_while_the_worker_has_not_answered_or_after_it_has_sent(refused: CommandRecord, signed_in: Maker) -> None:
    for state in ("pending", "claimed", "done"):
        CommandRecord.objects.update(state=state)
        assert "Decide again" not in signed_in().get("/signals/s1/").content.decode()


def test_a_viewer_reads_why_and_has_no_button(refused: CommandRecord, signed_in: Maker) -> None:
    viewer = signed_in("eve", role="viewer")
    page = viewer.get("/signals/s1/").content.decode()
    assert "The worker refused the approval" in page
    assert "decide-again" not in page
    assert again(viewer).status_code == 403
    assert SignalRecord.objects.get().state == "approved"


def test_it_takes_a_post_with_a_token_and_the_version_that_was_seen(refused: CommandRecord, signed_in: Maker) -> None:
    assert signed_in().get("/signals/s1/decide-again").status_code == 405
    assert again(signed_in("ann", csrf=True)).status_code == 403
    assert again(Client()).status_code == 302
    assert post(signed_in(), "decide-again", {}).status_code == 400
    assert again(signed_in(), signal_id="none").status_code == 404
    assert SignalRecord.objects.get().state == "approved"

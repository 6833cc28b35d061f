"""The question before an approval: asked by the server where no script can, turned off in simulated mode only."""

from __future__ import annotations

import os
import string
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings

from positions.models import RiskLimits
from signals.models import SignalRecord

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("patient_desk")]

Maker = Callable[..., Any]


class Fields(HTMLParser):
    """The named inputs of the form that goes to `action`, as a browser without scripts would send them."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._action, self._inside = action, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = said.get("action", self._action) == self._action and said.get("method") == "post"
        elif tag == "input" and self._inside and "name" in said:
            self.fields[said["name"]] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def form_of(page: bytes, action: str) -> dict[str, str]:
    parser = Fields(action)
    parser.feed(page.decode().split("<main")[1].split("</main>")[0].split("<template")[0])
    return parser.fields


@pytest.mark.parametrize("address", ["/signals/", "/signals/s1/"])
def test_a_browser_without_scripts_is_asked_by_the_server(make_signal: Maker, signed_in: Maker, address: str) -> None:
    make_signal()
    client = signed_in(csrf=True)
    form = form_of(client.get(address).content, "/signals/s1/approve") | {"quantity": "40"}
    question = client.post("/signals/s1/approve", form)
    assert question.status_code == 200
    assert SignalRecord.objects.get().state == "pending"
    said = question.content.decode()
    expected = 150.01 * 1.0001
    worst = f"{40 * (float(form['entry']) - float(form['stop'])):,.2f}"
    for part in (
        "Buy 40 AAPL?",
        "SIMULATED",
        "DUSIM001",
        f"{40 * expected:,.2f}",
        "expected at 150.03",
        worst,
        "Not now",
        "Approve and send",
    ):
        assert part in " ".join(said.split()), part
    sure = form_of(question.content, "")
    assert "ask" not in sure
    assert client.post("/signals/s1/approve", sure).status_code == 302
    signal = SignalRecord.objects.get()
    assert (signal.state, signal.decision["quantity"], signal.decision["edited"]) == ("approved", 40, ["quantity"])


def test_the_servers_question_about_what_would_be_refused_has_no_yes(make_signal: Maker, signed_in: Maker, ticket: Maker) -> None:
    make_signal()
    RiskLimits.objects.update(max_order_quantity=5)
    said = signed_in().post("/signals/s1/approve", ticket(ask="yes")).content.decode()
    assert "Make it smaller." in said
    assert "Approve and send" not in said


def test_a_desk_may_do_without_the_question_in_simulated_mode(make_signal: Maker, signed_in: Maker, ticket: Maker, settings: Any) -> None:
    make_signal()
    client = signed_in()
    assert b'id="approve-dialog"' in client.get("/signals/").content
    settings.CONFIRM_APPROVALS = False
    for address in ("/signals/", "/signals/s1/"):
        page = client.get(address).content
        assert b'id="approve-dialog"' not in page
        assert b'name="ask"' not in page
    assert client.post("/signals/s1/approve", ticket(ask="yes")).status_code == 302
    assert SignalRecord.objects.get().state == "approved"


@pytest.mark.parametrize(("mode", "asks"), [("simulated", False), ("paper", True), ("live", True)])
def test_turning_the_question_off_has_no_effect_where_money_or_a_broker_is_real(mode: str, asks: bool, tmp_path: Any) -> None:
    account = {"simulated": "", "paper": "DU1234567", "live": "U1234567"}[mode]
    given = {"CONFIRM_APPROVALS": "false", "TRADING_MODE": mode, "DATA_DIR": str(tmp_path), "IB_ACCOUNT": account, "IB_PORT": "7496"}
    given |= {
        "LIVE_TRADING_CONFIRMED": account,
        "FLOW_API_URL": "https://flow.example/api/v1",
        "DJANGO_SETTINGS_MODULE": "tradingsite.settings",
        "HTTPS": "true",
        "SECRET_KEY": string.ascii_letters,
    }
    program = "from django.conf import settings; print(settings.CONFIRM_APPROVALS)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | given, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(asks)


# --- a typed ticket is judged as its approval would be -----------------------------------------------------------------------


def judged(client: Any, **typed: Any) -> dict[str, Any]:
    answer = client.get("/signals/s1/judge", typed)
    assert answer.status_code == 200
    return answer.json()


def test_a_typed_size_is_judged_and_the_fields_left_alone_are_the_proposals(make_signal: Maker, signed_in: Maker) -> None:
    make_signal()
    client = signed_in()
    proposed = judged(client)["row"]
    typed = judged(client, quantity=10)["row"]
    assert (typed["quantity"], typed["entry"], typed["stop"]) == (10, proposed["entry"], proposed["stop"])
    assert typed["risk_dollars"] == pytest.approx(10 * (proposed["expected"] - proposed["stop"]))
    assert typed["worst_risk"] == pytest.approx(10 * (proposed["entry"] - proposed["stop"]))
    assert typed["notional"] == pytest.approx(10 * proposed["expected"])
    passive = judged(client, quantity=10, entry=149.9)["row"]  # below the ask: it fills at its limit, if at all
    assert passive["expected"] == 149.9
    assert typed["proposed"]["quantity"] == proposed["quantity"]
    half = judged(client, stop=round(proposed["expected"] - 2 * (proposed["expected"] - proposed["stop"]), 4))["row"]
    assert half["reward_risk"] == pytest.approx(proposed["reward_risk"] / 2, rel=0.01)


@pytest.mark.parametrize("typed", [{"quantity": 5000}, {"stop": 151}, {"entry": 170}, {"target": 100}, {"quantity": 30}, {"stop": ""}])
def test_the_page_and_the_decision_give_the_same_reasons(
    make_signal: Maker, signed_in: Maker, ticket: Maker, typed: dict[str, Any]
) -> None:
    make_signal()
    RiskLimits.objects.update(max_order_notional=10_000)
    client = signed_in()
    row = judged(client, **typed)["row"]
    numbers = {name: "" if row[name] is None else row[name] for name in ("quantity", "entry", "stop", "target")}
    answer = client.post("/signals/s1/approve", ticket(**numbers), headers={"accept": "application/json"})
    assert [refusal["code"] for refusal in answer.json().get("refusals", [])] == [refusal["code"] for refusal in row["refusals"]]
    assert (answer.status_code == 202) == (row["refusals"] == [])


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({"quantity": "-3"}, "quantity", "At least one share"),
        ({"quantity": "ten"}, "quantity", "Enter whole shares"),
        ({"quantity": "9" * 30}, "quantity", "more than any order"),
        ({"entry": "nan"}, "entry", "as a plain number"),
        ({"entry": "0"}, "entry", "above zero"),
        ({"stop": "1e999"}, "stop", ""),
        ({"stop": "151"}, "stop", "must be below"),
        ({"target": "100"}, "target", "must be above"),
        ({"quantity": "5", "stop": ""}, "stop", "needs a stop"),
    ],
)
def test_nonsense_is_named_at_its_field(make_signal: Maker, signed_in: Maker, typed: dict[str, str], field: str, sentence: str) -> None:
    make_signal()
    errors = judged(signed_in(), **typed)["errors"]
    assert list(errors) == [field]
    assert sentence in errors[field]


def test_judging_changes_nothing_and_strangers_may_not(make_signal: Maker, signed_in: Maker, client: Any) -> None:
    make_signal()
    assert client.get("/signals/s1/judge")["Location"].startswith("/login/")
    assert client.get("/signals/cards")["Location"].startswith("/login/")
    judged(signed_in("eve", role="viewer"), quantity=10)
    signal = SignalRecord.objects.get()
    assert (signal.state, signal.version, signal.decision) == ("pending", 1, {})
    assert signed_in().post("/signals/s1/judge", {}).status_code == 405
    assert signed_in().get("/signals/nobody/judge").status_code == 404

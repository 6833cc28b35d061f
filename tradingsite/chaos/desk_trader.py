"""A trader at the pages of a desk under fire: logs in, reads the page's own forms with their keys, and sends them.

Every act answers with what came of it in a few words, for the story. A page that does not answer is tried once more with
the same key, as a person who clicks again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from random import Random

import httpx

from tradingsite.chaos.desk_lane import PASSWORD, DeskLane

ANSWER_SECONDS = 6.0
SENT = "sent"
LOG_IN_SECONDS = 30.0  # a password is dear to check by design


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, its fields, the row or card around it, and whether its button can be pressed."""

    action: str
    kind: str  # data-decide or data-wish, or "again"
    around: dict[str, str]  # attributes of the card or table row it stands in
    fields: dict[str, str] = field(default_factory=dict)
    disabled: bool = False


class _Forms(HTMLParser):
    """Collects the forms of a page outside <template>."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._around: dict[str, str] = {}
        self._open: Form | None = None
        self._templates = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "template":
            self._templates += 1
        if self._templates:
            return
        if tag in ("article", "tr"):
            self._around = attributes
        elif tag == "form":
            kind = attributes.get("data-decide") or attributes.get("data-wish") or ("again" if "data-again" in attributes else "")
            self._open = Form(attributes.get("action", ""), kind, self._around)
            self.forms.append(self._open)
        elif self._open is not None and tag == "input" and attributes.get("name", "ask") != "ask":  # this trader is sure
            self._open.fields[attributes["name"]] = attributes.get("value", "")
        elif self._open is not None and tag == "button" and "data-approve" in attributes:
            self._open.disabled = "disabled" in attributes

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._templates -= 1
        elif tag == "form":
            self._open = None


class Trader:
    """Logged in as the desk's own demo user, who may also resume."""

    def __init__(self, lane: DeskLane) -> None:
        self._lane = lane
        self._web = httpx.Client(base_url=lane.url, timeout=ANSWER_SECONDS, trust_env=False, headers={"Accept": "text/html"})
        self.accepted = 0  # wishes that were filed
        self.doubled: list[str] = []  # addresses where two tabs were both told that their approval counts

    def log_in(self) -> None:
        form = self._forms("/login/")[0]
        words = form.fields | {"username": "demo", "password": PASSWORD}
        answer = self._web.post("/login/", data=words, timeout=LOG_IN_SECONDS)
        if answer.status_code != httpx.codes.FOUND:
            raise RuntimeError(f"the log-in was refused: {answer.status_code}")
        self._lane.cookies = self.cookies

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._web.cookies.items())

    def approve(self, symbol: str, random: Random, *, passive: bool = False) -> str:
        """The first card that opens a position and can be approved; a signal in `symbol` is put there if there is none.

        `passive`: with an entry limit 2 % behind the market, which rests.
        """
        return self._with_card(symbol, lambda card: self._send(card.action, card.fields | _ticket(card, random, passive=passive)))

    def approve_twice(self, symbol: str, random: Random, *, tabs: bool) -> str:
        """At the same instant: from two tabs (each with a key of its own), or by a double click (one key)."""

        def both(card: Form) -> str:
            again = next((form for form in self._cards() if form.action == card.action), card) if tabs else card
            ticket = _ticket(card, random)
            with ThreadPoolExecutor(2) as hands:
                pressed = [hands.submit(self._send_quietly, card.action, form.fields | ticket) for form in (card, again)]
                answers = [hand.result() for hand in pressed]
            if tabs and answers == [SENT, SENT]:
                self.doubled.append(card.action)
            return " and ".join(answers)

        return self._with_card(symbol, both)

    def reject(self, symbol: str) -> str:
        def refuse(card: Form) -> str:
            action = card.action.removesuffix("approve") + "reject"
            form = next((form for form in self._forms("/signals/") if form.kind == "reject" and form.action == action), None)
            return self._send(action, form.fields | {"reason": "too_late"}) if form else "no form"

        return self._with_card(symbol, refuse)

    def decide_again(self, signal: str, random: Random) -> str:
        """On the page of a signal whose approval was refused; then its card, which is back, is approved."""
        try:
            form = next((form for form in self._forms(f"/signals/{signal}/") if form.kind == "again"), None)
            if form is None:
                return "not offered"
            came = self._send(form.action, form.fields)
            card = next((card for card in self._cards() if f"/{signal}/" in card.action), None)
            return f"again {came}, " + (self._send(card.action, card.fields | _ticket(card, random)) if card else "no card")
        except httpx.HTTPError as error:
            return type(error).__name__

    def put_signal(self, symbol: str) -> bool:
        """A pending signal at the gateway's price."""
        quote = self._lane.breaker.gateway(query="prices", symbol=symbol).get("rows") or {}
        price = float(quote.get("last") or quote.get("bid") or 0.0)
        return price > 0 and "signal" in self._lane.person(do="signal", symbol=symbol, price=round(price, 2))

    def _with_card(self, symbol: str, act: Callable[[Form], str]) -> str:
        try:
            cards = self._cards() or (self._cards() if self.put_signal(symbol) else [])
            return act(cards[0]) if cards else "no card"
        except httpx.HTTPError as error:
            return type(error).__name__

    def _cards(self) -> list[Form]:
        """Those that open a position and can be approved."""
        forms = [form for form in self._forms("/signals/") if form.kind == "approve" and not form.disabled and form.action]
        return [form for form in forms if form.around.get("data-action", "").startswith("open")]

    def close(self, position: str) -> str:
        return self._press("/positions/", "close", f"/positions/{position}/close", {"quantity": "", "reason": "chaos"})

    def move_stop(self, position: str, price: float) -> str:
        return self._press("/positions/", "stop", f"/positions/{position}/stop", {"price": f"{price:.2f}"})

    def cancel(self, order: str) -> str:
        return self._press("/positions/", "close", f"/orders/{order}/cancel", {})

    def halt(self) -> str:
        return self._press("/trading/", "", "/trading/halt", {"reason": "chaos"})

    def resume(self) -> str:
        return self._press("/trading/", "", "/trading/resume", {"reason": "the failure is over", "typed": "RESUME"})

    def flatten(self) -> str:
        return self._press("/trading/", "", "/trading/flatten", {"reason": "chaos", "typed": "FLATTEN"})

    def _press(self, page: str, kind: str, address: str, values: dict[str, str]) -> str:
        """Token and key come from the page: any of its forms of that kind carries them."""
        try:
            form = next((form for form in self._forms(page) if form.kind == kind and "key" in form.fields), None)
            if form is None:
                return "no form"
            tokens = {name: form.fields[name] for name in ("csrfmiddlewaretoken", "key")}
            return self._send(address, tokens | values)
        except httpx.HTTPError as error:
            return type(error).__name__

    def _forms(self, page: str) -> list[Form]:
        answer = self._web.get(page)
        answer.raise_for_status()
        parser = _Forms()
        parser.feed(answer.text)
        return parser.forms

    def _send_quietly(self, address: str, fields: dict[str, str]) -> str:
        try:
            return self._send(address, fields)
        except httpx.HTTPError as error:
            return type(error).__name__

    def _send(self, address: str, fields: dict[str, str]) -> str:
        try:
            answer = self._web.post(address, data=fields)
        except httpx.TransportError:
            answer = self._web.post(address, data=fields)
        if answer.status_code < httpx.codes.BAD_REQUEST:
            self.accepted += 1
            return SENT
        return str(answer.status_code)


def _ticket(card: Form, random: Random, *, passive: bool = False) -> dict[str, str]:
    """The fields a person fills in."""
    filled = {"quantity": str(random.randint(1, 20))}
    if passive:
        sign = -1 if card.around.get("data-direction") == "-1" else 1
        entry = float(card.fields["entry"]) * (1 - 0.02 * sign)
        levels = {"entry": entry, "stop": entry * (1 - 0.03 * sign), "target": entry * (1 + 0.06 * sign)}
        filled |= {name: f"{price:.2f}" for name, price in levels.items()}
    return filled

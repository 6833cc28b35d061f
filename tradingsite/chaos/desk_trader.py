"""A trader at the pages of a desk under fire: logs in, reads the page's own forms with their keys, and sends them.

Every act answers with what came of it in a few words, for the story. A page that does not answer is tried once more with
the same key, as a person who clicks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from random import Random

import httpx

from tradingsite.chaos.desk_lane import PASSWORD, DeskLane

ANSWER_SECONDS = 6.0


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, its fields, the row or card around it, and whether its button can be pressed."""

    action: str
    kind: str  # data-decide or data-wish
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
            kind = attributes.get("data-decide") or attributes.get("data-wish") or ""
            self._open = Form(attributes.get("action", ""), kind, self._around)
            self.forms.append(self._open)
        elif self._open is not None and tag == "input" and "name" in attributes:
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

    def log_in(self) -> None:
        form = self._forms("/login/")[0]
        answer = self._web.post("/login/", data=form.fields | {"username": "demo", "password": PASSWORD})
        if answer.status_code != httpx.codes.FOUND:
            raise RuntimeError(f"the log-in was refused: {answer.status_code}")

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._web.cookies.items())

    def approve(self, symbol: str, random: Random, *, passive: bool = False) -> str:
        """The first card that opens a position and can be approved; a signal in `symbol` is put there if there is none.

        `passive`: with an entry limit 2 % behind the market, which rests.
        """
        try:
            card = self._card() or self._card_after_a_signal(symbol)
            if card is None:
                return "no card"
            sign = -1 if card.around.get("data-direction") == "-1" else 1
            changes = {"quantity": str(random.randint(1, 20))}
            if passive:
                entry = float(card.fields["entry"]) * (1 - 0.02 * sign)
                levels = {"entry": entry, "stop": entry * (1 - 0.03 * sign), "target": entry * (1 + 0.06 * sign)}
                changes |= {name: f"{price:.2f}" for name, price in levels.items()}
            return self._send(card.action, card.fields | changes)
        except httpx.HTTPError as error:
            return type(error).__name__

    def _card(self) -> Form | None:
        cards = [form for form in self._forms("/signals/") if form.kind == "approve" and not form.disabled and form.action]
        return next((card for card in cards if card.around.get("data-action", "").startswith("open")), None)

    def _card_after_a_signal(self, symbol: str) -> Form | None:
        quote = self._lane.control(query="prices", symbol=symbol).get("rows") or {}
        price = quote.get("last") or quote.get("bid")
        if not price:
            return None
        self._lane.person(do="signal", symbol=symbol, price=round(price, 2))
        return self._card()

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

    def _send(self, address: str, fields: dict[str, str]) -> str:
        try:
            answer = self._web.post(address, data=fields)
        except httpx.TransportError:
            answer = self._web.post(address, data=fields)
        if answer.status_code < httpx.codes.BAD_REQUEST:
            self.accepted += 1
            return "sent"
        return str(answer.status_code)

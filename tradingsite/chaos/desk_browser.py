"""A browser that watches a desk under fire: the positions page, never reloaded, and the signals page beside it.

Each page notes for itself, ten times a second, whether it says that it is stale and how many approve buttons can be pressed,
every number of a live frame that went back, and every row that came back after it had gone. Nothing of the product's scripts
is called; the page is read as a person reads it, by its rows and classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

from tradingsite.chaos.desk_lane import DeskLane
from tradingsite.testing.chromium import find_browser

_ARGUMENTS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
]  # fmt: skip

_RECORDER = """
(() => {
  const seen = window.__seen = { marks: [], back: [], frames: 0, loads: performance.timeOrigin };
  const sockets = new Set();
  const last = new Map(), gone = new Set();
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      sockets.add(this);
      this.addEventListener("close", () => sockets.delete(this));
      this.addEventListener("message", (event) => {
        let frame; try { frame = JSON.parse(event.data); } catch { return; }
        if (!(frame.n > 0)) return;
        seen.frames += 1;
        const [epoch, n] = last.get(frame.topic) ?? [0, 0];
        const older = frame.epoch < epoch || (frame.epoch === epoch && frame.n < n);
        if (older) seen.back.push(`${frame.topic}: ${frame.epoch}/${frame.n} after ${epoch}/${n}`);
        last.set(frame.topic, [frame.epoch, frame.n]);
      });
    }
  };
  addEventListener("DOMContentLoaded", () => {
    const body = document.querySelector("[data-open-rows]");
    if (body) new MutationObserver((changes) => {
      for (const change of changes) {
        for (const row of change.addedNodes) if (gone.has(row.dataset?.row)) seen.back.push(`row ${row.dataset.row} came back`);
        for (const row of change.removedNodes) if (row.dataset?.row) gone.add(row.dataset.row);
      }
    }).observe(body, { childList: true });
    setInterval(() => {
      const buttons = [...document.querySelectorAll("button[data-approve]")];
      const enabled = buttons.filter((button) => !button.disabled).length;
      const connected = [...sockets].some((socket) => socket.readyState === Real.OPEN);
      const link = document.getElementById("banner-link");
      const banner = link !== null && !link.hidden;
      const stale = document.documentElement.classList.contains("stale");
      seen.marks.push([Date.now() / 1000, stale, buttons.length, enabled, connected, banner]);
    }, 100);
  });
})();
"""

_READ_ROWS = """() => [...document.querySelectorAll("[data-open-rows] tr[data-row]")].map((row) => {
  const text = (name) => row.querySelector(`[data-f="${name}"]`)?.textContent.trim() ?? "";
  return [row.dataset.row, text("symbol"), text("quantity"), text("stop_loss")];
})"""

_TAKE = """() => { const s = window.__seen, taken = { marks: s.marks, back: s.back, frames: s.frames, loads: s.loads };
  s.marks = []; s.back = []; s.frames = 0; return taken; }"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One look at a page: `at` in seconds since the epoch, its approve buttons, those that can be pressed, whether a socket is open and
    the banner above the page says how old its numbers are."""

    at: float
    stale: bool
    buttons: int
    enabled: int
    connected: bool
    banner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row of the table of open positions. None = the cell shows no number."""

    position: str
    symbol: str
    quantity: float | None
    stop: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a page noted since the last time it was asked."""

    marks: list[Mark]
    back: list[str]
    frames: int
    loaded_at: float  # changes only when the page is loaded anew


class Watcher:
    """Both pages open as long as the `with` lasts."""

    def __init__(self, lane: DeskLane, cookies: dict[str, str]) -> None:
        self._lane, self._cookies = lane, cookies

    def __enter__(self) -> Watcher:
        path = find_browser()
        if not path:
            raise RuntimeError("no Chromium: install chromium, or set CHROMIUM to its path")
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        context: BrowserContext = self._browser.new_context(viewport={"width": 1366, "height": 900})
        context.add_cookies([{"name": name, "value": value, "url": self._lane.url} for name, value in self._cookies.items()])
        context.add_init_script(_RECORDER)
        self._positions = self._open(context, "/positions/")
        self._signals = self._open(context, "/signals/")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._browser.close()
        self._playwright.stop()

    def _open(self, context: BrowserContext, path: str) -> Page:
        page = context.new_page()
        page.goto(f"{self._lane.url}{path}")
        return page

    def renew_signals(self) -> None:
        """Read the signals page anew, so that a signal put there by hand has its card."""
        self._signals.reload()

    def rows(self) -> list[Shown]:
        return [
            Shown(position=position, symbol=symbol, quantity=_number(quantity), stop=_number(stop))
            for position, symbol, quantity, stop in self._positions.evaluate(_READ_ROWS)
        ]

    def live(self) -> bool:
        return not any(page.evaluate("document.documentElement.classList.contains('stale')") for page in (self._positions, self._signals))

    def connected(self) -> bool:
        """Both pages have their socket."""
        return all(page.evaluate("() => window.__seen.marks.at(-1)?.[4] ?? true") for page in (self._positions, self._signals))

    def take(self) -> dict[str, Notes]:
        """page → its notes, which it then forgets."""
        return {name: _notes(page.evaluate(_TAKE)) for name, page in (("positions", self._positions), ("signals", self._signals))}


def _notes(said: dict[str, Any]) -> Notes:
    names = ("at", "stale", "buttons", "enabled", "connected", "banner")
    marks = [Mark(**dict(zip(names, look, strict=True))) for look in said["marks"]]
    return Notes(marks=marks, back=said["back"], frames=said["frames"], loaded_at=said["loads"])


def _number(text: str) -> float | None:
    """As a person reads it: thousands by comma, minus also as U+2212."""
    plain = text.replace(",", "").replace("\u2212", "-").replace("$", "").strip()
    try:
        return float(plain)
    except ValueError:
        return None

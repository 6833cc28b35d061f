/* The trading page: the server renders it; this puts the newest rendering of its parts in place, and nothing under a hand or a pointer moves. */

import { feed } from "./feed.js";
import { patch } from "./patch.js";
import { keepStill } from "./still_table.js";

const EVERY = 10_000; // ms: the counts of orders and positions move without a command
const parts = () => [...document.querySelectorAll("[data-part]")];
let shown = document.querySelector("[data-trading-state]").dataset.tradingState;
let loading = false;
let again = false;

const stills = new Map(parts().map((part) => [part, keepStill(part, refresh)]));

function place(page) {
  for (const [part, still] of stills) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh && patch(part, fresh, { still: still.busy() })) still.later();
  }
  shown = page.querySelector("[data-trading-state]")?.dataset.tradingState ?? shown;
}

async function refresh() {
  again = loading;
  if (loading) return;
  loading = true;
  try {
    const answer = await fetch(location.pathname, { credentials: "same-origin", cache: "no-store" });
    if (answer.ok && !answer.redirected) place(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the network is away: the link's banner says so */ } finally { loading = false; }
  if (again) refresh();
}

feed.join("commands", () => refresh(), { snapshot: false });
feed.health((health) => {
  const word = health.trading?.state;
  if (word && word !== "unknown" && word !== shown) refresh();
});
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);

/* One signal's page: its card while it is pending, how long it can be decided again, and a reload when a part of its chain changed. */

import { feed } from "./feed.js";
import { countDown, startCards, writeCard } from "./signals_cards.js";

const REFRESH_MS = 2000;
const SETTLE_MS = 600; // changes come in bursts: one reload for all of them

const place = document.querySelector("[data-signal]");
const id = place.dataset.signal;
const container = document.querySelector("[data-cards]");
const card = container?.firstElementChild ?? null;
const again = document.querySelector("form[data-again]");
let reloading = 0;

function reloadSoon() {
  const typing = document.activeElement?.matches("input, select, textarea");
  if (reloading || typing || document.querySelector("dialog[open]")) return;
  reloading = setTimeout(() => location.reload(), SETTLE_MS);
}

feed.join("signals", (rows) => {
  for (const row of rows) {
    if (row.id !== id) continue;
    if (row.v > Number(place.dataset.v)) reloadSoon();
    else if (card && "refusals" in row) writeCard(card, row);
  }
}, { snapshot: Boolean(card) });
for (const topic of ["commands", "orders"]) {
  // A snapshot that another part of the page asked for says what this page was rendered from: no reason to reload.
  feed.join(topic, (rows, { snapshot }) => { if (!snapshot && rows.some((row) => row.signal_id === id)) reloadSoon(); }, { snapshot: false });
}

if (again) setInterval(() => { if (countDown(again)) reloadSoon(); }, 1000);
if (card) {
  startCards(container);
  container.addEventListener("decided", reloadSoon);
  setInterval(() => { if (countDown(card)) reloadSoon(); }, 1000);
  setInterval(() => { if (!document.hidden) feed.refresh("signals"); }, REFRESH_MS);
}

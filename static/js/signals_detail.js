/* One signal's page: its card while it is pending, which then keeps its place with its outcome, and the newest rendering of its chain. */

import { feed } from "./feed.js";
import { allowApproval, countDown, writeCard } from "./signals_cards.js";
import { startCards } from "./signals_decide.js";
import { revive, settle, showCommand } from "./signals_outcome.js";
import { startReading } from "./signals_read.js";
import { isTyped, judge } from "./signals_ticket.js";

const SETTLE_MS = 600; // changes come in bursts: one reading for all of them

const place = document.querySelector("[data-signal]");
const id = place.dataset.signal;
const container = document.querySelector("[data-cards]");
const card = container?.firstElementChild ?? null;
const again = () => document.querySelector("form[data-again]");
let renewing = 0;

/* --- the chain: the server renders it anew, and what differs is put in place -------------------------------------------- */

function renewSoon() {
  if (!renewing) renewing = setTimeout(renew, SETTLE_MS);
}

async function renew() {
  renewing = 0;
  if (document.querySelector("dialog[open]")) { renewSoon(); return; }
  try {
    const answer = await fetch(location.pathname, { credentials: "same-origin", cache: "no-store" });
    if (answer.ok && !answer.redirected) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the network is away: the link's banner says so */ }
}

function replaceParts(page) {
  if (!card && page.querySelector("[data-cards]")) { location.reload(); return; } // it waits for a decision again
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...document.importNode(fresh, true).childNodes);
  }
  place.dataset.v = page.querySelector("[data-signal]")?.dataset.v ?? place.dataset.v;
}

feed.join("signals", (rows) => {
  for (const row of rows) {
    if (row.id !== id) continue;
    if (row.v > Number(place.dataset.v)) renewSoon();
    if (card && row.state !== "pending") settle(card, row);
    else if (card) askSoon();
  }
}, { snapshot: Boolean(card) });
for (const topic of ["commands", "orders"]) {
  // A snapshot that another part of the page asked for says what this page was rendered from: no reason to read it again.
  feed.join(topic, (rows, { snapshot }) => {
    const own = rows.filter((row) => row.signal_id === id);
    if (topic === "commands" && card) for (const row of own) showCommand(card, row);
    if (!snapshot && own.length) renewSoon();
  }, { snapshot: false });
}

setInterval(() => {
  const form = again();
  if (form && countDown(form)) renewSoon();
}, 1000);

/* --- the card --------------------------------------------------------------------------------------------------------- */

function take({ rows, over }) {
  for (const row of rows) {
    if (row.id !== id || row.v < Number(card.dataset.v)) continue;
    if (card.dataset.settled) {
      if (row.v === Number(card.dataset.v)) continue;
      revive(card);
    }
    if (isTyped(card)) judge(card);
    else writeCard(card, row);
  }
  for (const row of over) if (row.id === id) settle(card, row);
}

const askSoon = card ? startReading(container.dataset.base, () => ({ ids: id, room: 0, skip: 0 }), take) : () => {};

if (card) {
  startCards(container);
  writeCard(card, JSON.parse(document.getElementById("signal-row").textContent));
  for (const name of ["decided", "refused"]) container.addEventListener(name, () => { askSoon(); renewSoon(); });
  setInterval(() => {
    if (card.dataset.settled) return;
    const isOver = countDown(card);
    if (isOver === Boolean(card.overdue)) return;
    card.overdue = isOver;
    allowApproval(card);
    askSoon();
  }, 1000);
}

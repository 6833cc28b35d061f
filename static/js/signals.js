/* The signals page: cards come, change and go with the "signals" topic; j, k, Enter, a and r work on the chosen one. */

import { feed } from "./feed.js";
import { setBadge, setText } from "./format.js";
import { confirmApproval, countDown, newCard, openReject, startCards, writeCard } from "./signals_cards.js";

const REFRESH_MS = 2000; // prices of the proposals; the rows that Celery sends carry none

const container = document.querySelector("[data-cards]");
const base = container.dataset.base;
const cards = new Map([...container.children].map((card) => [card.dataset.id, card]));
let chosen = null;

function drop(id) {
  const card = cards.get(id);
  if (!card || card.classList.contains("busy")) return;
  if (card === chosen) chosen = null;
  card.remove();
  cards.delete(id);
}

function show(row) {
  if (!cards.has(row.id)) {
    const card = newCard(row, base);
    cards.set(row.id, card);
    container.append(card);
  }
  writeCard(cards.get(row.id), row);
}

function writeHistory(row) {
  const line = document.querySelector(`[data-history] [data-signal="${CSS.escape(row.id)}"]`);
  if (!line) return;
  const state = line.querySelector(".badge-state");
  if (state) setBadge(state, row.state);
  setText(line.querySelector("[data-reason]"), row.reason || "–");
  setText(line.querySelector("[data-by]"), row.decided_by || "–");
}

function onRows(rows, { snapshot, keys }) {
  let incomplete = false;
  for (const row of rows) {
    writeHistory(row);
    if (row.state !== "pending") drop(row.id);
    else if ("refusals" in row) show(row);
    else incomplete = true;
  }
  if (snapshot) for (const id of [...cards.keys()]) if (!keys.has(id)) drop(id);
  if (incomplete) feed.refresh("signals");
  summarise();
}

function summarise() {
  setText(document.querySelector("[data-pending-tally]"), String(cards.size));
  document.querySelector("[data-cards-empty]").hidden = cards.size !== 0;
}

function tick() {
  let over = false;
  for (const card of cards.values()) over = countDown(card) || over;
  if (over) feed.refresh("signals");
}

/* --- keyboard ---------------------------------------------------------------------------------------------------- */

function choose(step) {
  const all = [...container.children];
  if (!all.length) return;
  const at = all.indexOf(chosen);
  const next = all[at === -1 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))];
  chosen?.classList.remove("chosen");
  chosen = next;
  chosen.classList.add("chosen");
  chosen.focus();
}

function onKey(event) {
  const typing = event.target.closest?.("input, select, textarea, dialog, [contenteditable]");
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const focused = event.target.closest?.(".signal-card");
  const card = focused ?? chosen;
  if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else if (event.key === "Enter" && event.target === card) location.assign(card.querySelector(".symbol").href);
  else if (event.key === "a" && card?.row) approveByKey(card);
  else if (event.key === "r" && card) { event.preventDefault(); openReject(card); }
}

function approveByKey(card) {
  const button = card.querySelector("[data-approve]");
  const dialog = document.getElementById("approve-dialog");
  if (!button || button.disabled || !dialog || document.documentElement.classList.contains("stale")) return;
  confirmApproval(card, dialog);
}

startCards(container);
for (const row of JSON.parse(document.getElementById("signal-rows").textContent)) if (cards.has(row.id)) writeCard(cards.get(row.id), row);
container.addEventListener("decided", (event) => { drop(event.target.dataset.id); summarise(); feed.refresh("signals"); });
document.addEventListener("keydown", onKey);
feed.join("signals", onRows, { snapshot: true });
setInterval(tick, 1000);
setInterval(() => { if (cards.size && !document.hidden) feed.refresh("signals"); }, REFRESH_MS);
tick();

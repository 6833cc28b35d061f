/* The signals page: its cards come, change and are decided; j, k, Enter, a and r work on the chosen one.
 *
 * The server says which signals wait (topic "signals", light rows) and, for the cards on this page, what each would become: asked anew
 * when a signal changed and with each heartbeat of the worker, which brings new prices. A card never moves: new ones come at the end,
 * decided ones stay with their outcome until the person moves on.
 */

import { feed } from "./feed.js";
import { setBadge, setText } from "./format.js";
import { allowApproval, countDown, newCard, writeCard } from "./signals_cards.js";
import { approve, openReject, startCards } from "./signals_decide.js";
import { revive, settle, showCommand, watchDecided } from "./signals_outcome.js";
import { startReading } from "./signals_read.js";
import { isTyped, judge } from "./signals_ticket.js";

const container = document.querySelector("[data-cards]");
const { base, room, skip } = container.dataset;
const cards = new Map([...container.children].map((card) => [card.dataset.id, card]));
const waiting = () => [...cards.values()].filter((card) => !card.dataset.settled);
let total = Number(container.dataset.total);
let chosen = null;

/* --- what the server says ------------------------------------------------------------------------------------------ */

function show(row) {
  let card = cards.get(row.id);
  if (!card) {
    card = newCard(row, base);
    cards.set(row.id, card);
    container.append(card);
  }
  if (card.dataset.settled) {
    if (row.v <= Number(card.dataset.v)) return;
    revive(card);
  }
  if (row.v < Number(card.dataset.v)) return;
  if (isTyped(card)) judge(card);
  else writeCard(card, row);
}

function take(answer) {
  for (const row of answer.rows) show(row);
  for (const row of answer.over) if (cards.has(row.id)) settle(cards.get(row.id), row);
  total = answer.total;
  summarise();
}

const askSoon = startReading(base, () => ({ ids: waiting().map((card) => card.dataset.id).join(","), room, skip }), take);

function onRows(rows, { snapshot, keys }) {
  for (const row of rows) {
    writeHistory(row);
    const card = cards.get(row.id);
    if (row.state !== "pending" && card) settle(card, row);
    if (row.state === "pending" && (!card || card.dataset.settled || row.v > Number(card.dataset.v))) askSoon();
  }
  if (rows.length || (snapshot && waiting().some((card) => !keys.has(card.dataset.id)))) askSoon();
  summarise();
}

function writeHistory(row) {
  const line = document.querySelector(`[data-history] [data-signal="${CSS.escape(row.id)}"]`);
  if (!line) return;
  const state = line.querySelector(".badge-state");
  if (state) setBadge(state, row.state);
  setText(line.querySelector("[data-reason]"), row.reason || "–");
  setText(line.querySelector("[data-by]"), row.decided_by || "–");
}

/* --- the head of the list ------------------------------------------------------------------------------------------- */

const showDecided = watchDecided(container, (card) => {
  cards.delete(card.dataset.id);
  if (card === chosen) chosen = null;
}, document.querySelector("[data-clear-decided]"));

function summarise() {
  const here = waiting().length;
  setText(document.querySelector("[data-pending-tally]"), String(Math.max(total, here)));
  setText(document.querySelector("[data-window]"), total > here ? `${here} of ${total} are shown, and ${total - here} more` : "");
  document.querySelector("[data-cards-empty]").hidden = Math.max(total, here) !== 0;
  showDecided();
}

function tick() {
  let over = false;
  for (const card of waiting()) {
    const isOver = countDown(card);
    if (isOver === Boolean(card.overdue)) continue;
    card.overdue = isOver;
    allowApproval(card);
    over = true;
  }
  if (over) askSoon();
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
  else if (event.key === "a" && card?.querySelector("[data-approve]")) approve(card);
  else if (event.key === "r" && card) { event.preventDefault(); openReject(card); }
}

/* --- start --------------------------------------------------------------------------------------------------------- */

startCards(container);
for (const row of JSON.parse(document.getElementById("signal-rows").textContent)) if (cards.has(row.id)) writeCard(cards.get(row.id), row);
for (const name of ["decided", "refused"]) container.addEventListener(name, () => { summarise(); askSoon(); });
document.addEventListener("keydown", onKey);
feed.join("signals", onRows, { snapshot: true });
feed.join("commands", (rows) => { for (const row of rows) showCommand(cards.get(row.signal_id), row); }, { snapshot: false });
setInterval(tick, 1000);
tick();
summarise();

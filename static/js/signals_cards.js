/* One card per pending signal: fills it from a row, keeps what the person typed, sends the decision, counts down.
 *
 *   const cards = startCards(container, rows);  cards.show(row);  cards.drop(id);  cards.update()  cards.approve(card) …
 */

import { feed } from "./feed.js";
import { freshKey, send } from "./positions_send.js";
import { ageText, money, pct, price, quantity, setMultiple, setSignedPct, setText, signedParts, timeElement, words } from "./format.js";
import { drawRefusals, showAnswer } from "./signals_refusals.js";
import { toast } from "./toasts.js";

const SHORT_MS = 20_000;
const CLOSES = ["close_long", "close_short"];

const cell = (card, name) => card.querySelector(`[data-f="${name}"]`);
const plain = (value) => (typeof value === "number" ? String(value) : "");

function hideIf(element, hidden) {
  if (element && element.hidden !== hidden) element.hidden = hidden;
}

/* --- writing a row into its card ----------------------------------------------------------------------------------- */

function writeHead(card, row) {
  const side = cell(card, "side");
  side.dataset.side = row.direction;
  setText(side, row.direction > 0 ? "Buy" : "Sell");
  card.setAttribute("aria-label", `${row.direction > 0 ? "Buy" : "Sell"} ${row.symbol}`);
  setText(cell(card, "symbol"), row.symbol);
  setText(cell(card, "action"), words(row.action));
  setText(cell(card, "confidence"), pct(row.confidence));
  setText(cell(card, "threshold"), pct(row.threshold));
  setText(cell(card, "model"), row.model || "–");
  cell(card, "countdown").dataset.expires = row.expires_at;
  cell(card, "age").replaceChildren(timeElement(row.created_at, { age: true }));
}

function writeMarket(card, row) {
  setText(cell(card, "price"), price(row.price));
  setText(cell(card, "last"), price(row.last));
  const at = cell(card, "last_at");
  if (row.last_at) at.replaceChildren(timeElement(row.last_at, { age: true }));
  else setText(at, "no fresh price");
  writeDrift(cell(card, "drift_pct"), cell(card, "drift_word"), row);
  setText(cell(card, "allowed_drift_pct"), pct(row.allowed_drift_pct, 2));
  setText(cell(card, "held"), quantity(row.held));
}

/* The triangle tells where the price went, the colour and the word what that does to the entry: up is worse for a buy, better for a sell. */
function writeDrift(element, word, { drift_pct: drift, direction }) {
  setSignedPct(element, drift);
  const { way } = signedParts(drift * 100);
  const moved = way === "up" || way === "down";
  const worse = drift * direction > 0;
  if (moved) element.firstElementChild.className = `num pnl ${worse ? "down" : "up"}`;
  setText(word, moved ? `${worse ? "worse" : "better"}, limit` : "limit");
}

/* A field the person has touched is theirs: new proposals no longer write over it. */
function propose(form, name, value) {
  form.elements[`shown_${name}`].value = plain(value);
  const input = form.elements[name];
  if (input && !input.dataset.touched && document.activeElement !== input) input.value = plain(value);
}

function writeTicket(card, row) {
  const form = card.querySelector('[data-decide="approve"]');
  form.elements.entry.value = plain(row.entry);
  for (const name of ["quantity", "stop", "target"]) propose(form, name, row[name]);
  for (const label of card.querySelectorAll("[data-levels]")) hideIf(label, CLOSES.includes(row.action));
  for (const name of ["stop", "target"]) setText(cell(card, name), price(row[name]));
  setText(cell(card, "quantity"), quantity(row.quantity));
  setText(cell(card, "entry"), price(row.entry));
  setText(cell(card, "sizing"), row.sizing || "");
  setText(cell(card, "margin"), money(row.margin));
  setText(cell(card, "margin_commission"), row.margin_commission ? `fee ${money(row.margin_commission)}` : "");
  setText(cell(card, "margin_share_pct"), typeof row.margin_share_pct === "number" ? `${row.margin_share_pct.toFixed(1)}%` : "–");
  writeMoney(card);
}

/* Worth, risk and reward of what stands in the fields, not of what was proposed. */
export function ticketOf(card) {
  const row = card.row;
  const form = card.querySelector('[data-decide="approve"]');
  const typed = (name) => (form.elements[name] ? parseFloat(form.elements[name].value) : row[name]);
  const [shares, stop, target] = [typed("quantity"), typed("stop"), typed("target")];
  const entry = row.entry;
  const over = (level) => (Number.isFinite(level) && Number.isFinite(shares) && typeof entry === "number" ? Math.abs(entry - level) * shares : null);
  const worth = Number.isFinite(shares) && typeof entry === "number" ? shares * entry : null;
  return { shares, entry, stop, target, worth, risk: over(stop), reward: over(target) };
}

function writeMoney(card) {
  const { worth, risk, reward } = ticketOf(card);
  setText(cell(card, "notional"), money(worth));
  setText(cell(card, "risk_dollars"), money(risk));
  setText(cell(card, "reward_dollars"), money(reward));
  const ratio = cell(card, "reward_risk");
  if (risk > 0 && reward !== null) setMultiple(ratio, reward / risk);
  else ratio.replaceChildren();
}

function writeDoubts(card, row) {
  const list = cell(card, "warnings");
  const items = (row.warnings || []).map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  });
  list.replaceChildren(...items);
  hideIf(list, items.length === 0);
  drawRefusals(cell(card, "refusals"), row.refusals);
  hideIf(cell(card, "blocked"), row.refusals.length === 0);
  allowApproval(card);
}

/* Nothing blocks it, it is not on its way, and the numbers a person would approve by are not old. */
function allowApproval(card) {
  const button = card.querySelector("[data-approve]");
  const blocked = !cell(card, "blocked").hidden;
  const stale = document.documentElement.classList.contains("stale");
  if (button) button.disabled = blocked || stale || card.classList.contains("busy");
}

export function writeCard(card, row) {
  card.row = row;
  card.dataset.v = row.v;
  for (const form of card.querySelectorAll("form[data-decide]")) form.elements.version.value = row.v;
  writeHead(card, row);
  writeMarket(card, row);
  writeTicket(card, row);
  writeDoubts(card, row);
}

export function newCard(row, base) {
  const card = document.getElementById("signal-card").content.firstElementChild.cloneNode(true);
  const own = `${base}${encodeURIComponent(row.id)}/`;
  card.dataset.id = row.id;
  cell(card, "symbol").href = own;
  for (const form of card.querySelectorAll("form[data-decide]")) { if (!form.elements.key) continue; form.action = own + form.dataset.decide; freshKey(form); }
  prepare(card);
  return card;
}

/* With scripts on, rejecting opens in place instead of standing on every card. */
export function prepare(card) {
  for (const element of card.querySelectorAll("[data-no-js]")) element.hidden = true;
  for (const element of card.querySelectorAll("[data-reject-open], [data-js]")) element.hidden = false;
  const reject = card.querySelector(".signal-reject");
  if (reject) reject.hidden = true;
}

/* --- time ------------------------------------------------------------------------------------------------------------ */

/* Returns true once the signal's life is over. */
export function countDown(card) {
  const element = cell(card, "countdown");
  const left = Date.parse(element.dataset.expires) - feed.now();
  element.classList.toggle("short", left < SHORT_MS);
  setText(element, left > 0 ? `${ageText(left / 1000)} left` : "expired");
  return left <= 0;
}

/* --- deciding -------------------------------------------------------------------------------------------------------- */

export async function decide(form) {
  const card = form.closest(".signal-card");
  if (card.classList.contains("busy")) return; // a double click is one decision; the key says so to the server too
  card.classList.add("busy");
  allowApproval(card);
  const error = form.querySelector('[data-f="error"]');
  error.hidden = true;
  const answer = await send(form);
  card.classList.remove("busy");
  allowApproval(card);
  if (answer.error) {
    showAnswer(error, answer);
    error.hidden = false;
    if (!answer.code?.startsWith("already_")) freshKey(form);
    feed.refresh("signals");
    return;
  }
  const side = card.row?.direction > 0 ? "Buy" : "Sell";
  toast(`${side} ${card.row?.symbol ?? ""}: ${answer.state}.`, "good", cell(card, "symbol").href);
  card.dispatchEvent(new CustomEvent("decided", { bubbles: true, detail: answer }));
}

export function confirmApproval(card, dialog) {
  const { shares, entry, stop, target, worth, risk } = ticketOf(card);
  const row = card.row;
  const say = (name, text) => setText(dialog.querySelector(`[data-c="${name}"]`), text);
  say("title", `${row.direction > 0 ? "Buy" : "Sell"} ${quantity(shares)} ${row.symbol}`);
  say("order", `limit ${price(entry)}`);
  say("levels", CLOSES.includes(row.action) ? "closes the position" : `${price(stop)} / ${price(target)}`);
  say("notional", money(worth));
  say("risk", money(risk));
  dialog.returnValue = "";
  dialog.onclose = () => { if (dialog.returnValue === "approve") decide(card.querySelector('[data-decide="approve"]')); };
  dialog.showModal();
}

/* --- listening, once per page ------------------------------------------------------------------------------------------ */

export function startCards(container) {
  const dialog = document.getElementById("approve-dialog");
  const isLive = document.documentElement.dataset.mode === "live";
  for (const card of container.children) prepare(card);
  feed.state((_state, moved) => { if (moved) for (const card of container.children) allowApproval(card); });
  container.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    const card = form.closest(".signal-card");
    if (form.dataset.decide === "approve" && isLive && dialog && card.row) confirmApproval(card, dialog);
    else decide(form);
  });
  container.addEventListener("input", (event) => {
    const input = event.target;
    if (!["quantity", "stop", "target"].includes(input.name)) return;
    input.dataset.touched = "yes";
    input.classList.add("edited");
    const card = input.closest(".signal-card");
    if (card.row) writeMoney(card);
  });
  container.addEventListener("click", (event) => {
    const card = event.target.closest(".signal-card");
    if (event.target.closest("[data-reject-open]")) openReject(card);
    if (event.target.closest("[data-reject-close]")) card.querySelector(".signal-reject").hidden = true;
  });
}

export function openReject(card) {
  const form = card.querySelector(".signal-reject");
  if (!form) return;
  form.hidden = false;
  form.elements.reason.focus();
}

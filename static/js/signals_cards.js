/* One card per pending signal: fills it from the server's row, keeps what the person typed, counts down, says why Approve is disabled.
 *
 *   const card = newCard(row, base);  writeCard(card, row);  countDown(card);  allowApproval(card);
 *
 * Every figure of a ticket is the server's: a card calculates nothing. A card keeps its height whatever it says, so none moves another.
 */

import { feed } from "./feed.js";
import { freshKey } from "./positions_send.js";
import { ageText, money, pct, price, quantity, setMultiple, setSignedPct, setText, signedParts, timeElement, typedPrice, words } from "./format.js";
import { drawRefusals } from "./signals_refusals.js";

const SHORT_MS = 20_000;
export const CLOSES = ["close_long", "close_short"];
export const TICKET = ["quantity", "entry", "stop", "target"];

export const cell = (card, name) => card.querySelector(`[data-f="${name}"]`);
export const approveForm = (card) => card.querySelector('[data-decide="approve"]');
const plain = (value) => (typeof value === "number" ? String(value) : "");
const typed = (name, value) => (name === "quantity" ? plain(value) : typedPrice(value));

export function hideIf(element, hidden) {
  if (element && element.hidden !== hidden) element.hidden = hidden;
}

/* --- writing a row into its card ----------------------------------------------------------------------------------- */

function writeHead(card, row) {
  const side = cell(card, "side");
  side.dataset.side = row.direction;
  setText(side, sideOf(row));
  card.setAttribute("aria-label", `${sideOf(row)} ${row.symbol}`);
  Object.assign(card.dataset, { action: row.action, direction: row.direction });
  setText(cell(card, "symbol"), row.symbol);
  setText(cell(card, "action"), words(row.action));
  setText(cell(card, "confidence"), pct(row.confidence));
  setText(cell(card, "threshold"), pct(row.threshold));
  setText(cell(card, "model"), row.model || "–");
  cell(card, "countdown").dataset.expires = row.expires_at;
  cell(card, "age").replaceChildren(timeElement(row.created_at, { age: true }));
}

export const sideOf = (row) => (row.direction > 0 ? "Buy" : "Sell");

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
function propose(form, name, row) {
  form.elements[`shown_${name}`].value = typed(name, (row.proposed ?? row)[name]);
  const input = form.elements[name];
  if (input && !input.dataset.touched && document.activeElement !== input) input.value = typed(name, row[name]);
}

function writeTicket(card, row) {
  const form = approveForm(card);
  for (const name of TICKET) {
    propose(form, name, row);
    setText(cell(card, name), name === "quantity" ? quantity(row[name]) : price(row[name]));
  }
  for (const label of card.querySelectorAll("[data-levels]")) hideIf(label, CLOSES.includes(row.action));
  for (const name of ["notional", "risk_dollars", "reward_dollars", "worst_risk", "margin"]) setText(cell(card, name), money(row[name]));
  setText(cell(card, "expected"), row.expected ? `at ${price(row.expected)}` : "");
  for (const name of ["reward_risk", "worst_reward_risk"]) {
    const ratio = cell(card, name);
    if (row[name]) setMultiple(ratio, row[name]);
    else { ratio.replaceChildren(); delete ratio.dataset.written; }
  }
  setText(cell(card, "margin_commission"), row.margin_commission ? `fee ${money(row.margin_commission)}` : "");
  setText(cell(card, "margin_share_pct"), typeof row.margin_share_pct === "number" ? `${money(row.margin_share_pct, 1)}%` : "–");
}

function writeDoubts(card, row) {
  setText(cell(card, "sizing"), row.sizing || "");
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
}

/* While its question stands open a card keeps the numbers that were asked about; what comes meanwhile is written afterwards. */
export function writeCard(card, row) {
  if (card.question) {
    card.waiting = row;
    card.question.changed(row);
    return;
  }
  card.row = row;
  card.dataset.v = row.v;
  for (const form of card.querySelectorAll("form[data-decide]")) form.elements.version.value = row.v;
  writeHead(card, row);
  writeMarket(card, row);
  writeTicket(card, row);
  writeDoubts(card, row);
  allowApproval(card);
}

/* --- whether it can be approved, and if not why not ------------------------------------------------------------------ */

/* The reason why Approve cannot be pressed; empty when it can. */
export function whyNot(card) {
  const refusals = card.row?.refusals ?? [];
  if (card.classList.contains("busy")) return "Being sent…";
  if (card.dataset.settled) return "This signal is decided.";
  if (card.overdue) return "Its time is over.";
  if (document.documentElement.classList.contains("stale")) return "The numbers are old: the live link is away.";
  if (card.judging) return card.judging;
  if (card.fieldError) return card.fieldError;
  if (!card.row) return cell(card, "blocked").hidden ? "Being read…" : "Cannot be approved now, see below.";
  if (refusals.length === 1) return refusals[0].message;
  if (refusals.length) return `${refusals.length} reasons against it, see below.`;
  return "";
}

export function allowApproval(card) {
  const button = card.querySelector("[data-approve]");
  if (!button) return;
  const why = whyNot(card);
  if (button.disabled !== (why !== "")) button.disabled = why !== "";
  button.title = why;
  setText(cell(card, "why"), why);
}

/* --- making one ------------------------------------------------------------------------------------------------------ */

export function newCard(row, base) {
  const card = document.getElementById("signal-card").content.firstElementChild.cloneNode(true);
  const own = `${base}${encodeURIComponent(row.id)}/`;
  card.dataset.id = row.id;
  cell(card, "symbol").href = own;
  for (const form of card.querySelectorAll("form[data-decide]")) { if (!form.elements.key) continue; form.action = own + form.dataset.decide; freshKey(form); }
  prepare(card);
  return card;
}

/* With scripts on, rejecting opens in place and a dialog asks before an approval; without, the forms stand there and the server asks. */
export function prepare(card) {
  for (const element of card.querySelectorAll("[data-no-js]")) element.hidden = true;
  for (const element of card.querySelectorAll("[data-reject-open], [data-js]")) element.hidden = false;
  approveForm(card)?.elements.ask?.remove();
  const reject = card.querySelector(".signal-reject");
  if (!reject) return;
  reject.hidden = true;
  reject.classList.add("over");
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

/* The blotter and the page of one order: rows follow the "orders" topic, cancels are confirmed, sent and answered here. */

import { feed } from "./feed.js";
import { money, orderState, price, quantity, setBadge, setText, timeElement, words } from "./format.js";
import { followCommands } from "./positions_commands.js";
import { clearRefusal, showMark } from "./positions_outcome.js";
import { freshKey, send } from "./positions_send.js";
import { keepStill } from "./still_table.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const LIVE = new Set(read("live-states"));
const STATE_WORDS = read("state-words");
const PENDING_WORDS = read("pending-words");

const body = document.querySelector("[data-order-rows]");
const blank = document.getElementById("order-row");
const dialog = document.getElementById("cancel-dialog");
const grows = body.dataset.grows === "yes";
const rows = new Map(); // id -> newest row heard
let asked = null; // the form whose cancel is being confirmed

const elements = new Map([...body.querySelectorAll("tr[data-order]")].map((element) => [element.dataset.order, element]));
const still = keepStill(body, () => { // what came while somebody was at the table stands at its end: now it goes on top
  for (const element of body.querySelectorAll("tr[data-waits]")) {
    delete element.dataset.waits;
    body.prepend(element);
  }
});

const rowElement = (id) => elements.get(id);
const meaning = (row) => STATE_WORDS[orderState(row)] ?? STATE_WORDS[row.state] ?? "";
const number = (text) => Number.parseFloat(text.replaceAll(",", "")); // NaN shows as unknown
const upper = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "");

const writers = {
  symbol: (element, row) => setText(element, row.symbol),
  role: (element, row) => setText(element, upper(row.role)),
  side: (element, row) => { setText(element, upper(row.side)); element.dataset.side = row.side; },
  quantity: (element, row) => setText(element, quantity(row.quantity)),
  kind: (element, row) => setText(element, `${words(row.order_type)} ${(row.tif ?? "").toUpperCase()}`),
  price: (element, row) => setText(element, price(row.stop_price ?? row.limit_price)),
  filled: (element, row) => setText(element, quantity(row.filled_quantity)),
  average: (element, row) => setText(element, price(row.average_price)),
  state: (element, row) => { setBadge(element, row.state, orderState(row)); element.title = meaning(row); },
  pending: (element, row) => {
    element.hidden = row.pending === "none";
    setText(element, `${words(row.pending)} pending`);
    element.title = PENDING_WORDS[row.pending] ?? "";
  },
  ib_status: (element, row) => setText(element, row.ib_status || "–"),
  message: (element, row) => setText(element, row.message ?? ""),
  created_at: (element, row) => { if (!element.firstElementChild) element.replaceChildren(timeElement(row.created_at, { shape: "full" })); },
};

function newRow(row) {
  const element = blank.content.firstElementChild.cloneNode(true);
  const own = `/orders/${encodeURIComponent(row.id)}/`;
  element.dataset.order = row.id;
  element.querySelector('[data-o="link"]').href = own;
  element.querySelector('[data-o="created_at"]').replaceChildren();
  const form = element.querySelector("form[data-cancel]");
  if (form) { form.action = `${own}cancel`; freshKey(form); }
  elements.set(row.id, element);
  if (still.busy()) {
    element.dataset.waits = "";
    body.append(element);
    still.later();
  } else body.prepend(element);
  document.querySelector("[data-orders-table]").hidden = false;
  document.querySelector("[data-orders-empty]").hidden = true;
  return element;
}

function show(row) {
  rows.set(row.id, row);
  const isLive = LIVE.has(row.state);
  const element = rowElement(row.id) ?? (grows && isLive ? newRow(row) : null);
  if (!element) return;
  for (const cell of element.querySelectorAll("[data-o]")) writers[cell.dataset.o]?.(cell, row);
  element.classList.toggle("over", !isLive);
  const form = element.querySelector("form[data-cancel]");
  if (form) form.hidden = !isLive;
  const sentence = document.querySelector("[data-state-sentence]");
  if (sentence) setText(sentence, `${meaning(row)} ${PENDING_WORDS[row.pending] ?? ""}`.trim());
}

/* --- cancelling -------------------------------------------------------------------------------------------------- */

const part = (name) => dialog.querySelector(`[data-c="${name}"]`);

function ask(form) {
  const element = form.closest("tr");
  const text = (name) => element.querySelector(`[data-o="${name}"]`)?.textContent.trim() ?? "";
  asked = form;
  clearRefusal(element.querySelector('[data-o="wish"]'));
  setText(part("order"), `${text("side")} ${text("quantity")} ${text("symbol")}, ${text("role").toLowerCase()}, ${text("kind")}`);
  setText(part("price"), text("price"));
  const shown = rows.get(element.dataset.order) ?? {};
  const left = number(text("quantity")) - number(text("filled"));
  const level = shown.stop_price ?? shown.limit_price ?? number(text("price"));
  setText(part("value"), money(left * level));
  setText(part("filled"), text("filled"));
  const protects = text("role") === "Stop";
  part("warning").hidden = !protects;
  setText(part("warning"), protects ? "This stop protects a position. Without it the loss is not limited." : "");
  part("error").hidden = true;
  dialog.showModal();
}

async function confirm() {
  const form = asked;
  const answer = form && await send(form);
  if (!answer) return;
  if (answer.error) { setText(part("error"), answer.error); part("error").hidden = false; return; }
  freshKey(form);
  dialog.close();
  showOutcome(answer.command);
}

function showOutcome(command) {
  const mark = command.name === "CancelOrder" && rowElement(command.order_id)?.querySelector('[data-o="wish"]');
  if (mark) showMark(mark, "Cancel", command);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-cancel]");
  if (!form || !dialog) return;
  event.preventDefault();
  ask(form);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-cancel-dismiss]") || event.target === dialog) dialog.close();
  if (event.target.closest("[data-cancel-confirm]")) confirm();
});

feed.join("orders", (fresh) => [...fresh].sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at)).forEach(show), { snapshot: true });
const own = body.dataset.orderRows; // on the page of one order
feed.join("commands", (fresh) => {
  fresh.forEach(showOutcome);
  if (own) followCommands(fresh.filter((command) => command.order_id === own));
}, { snapshot: false });

/* Wishes about a position: move its stop or target in place, close all or part of it after a confirmation.
 *
 * startWishes({ positionOf(id) -> row, rootOf(id) -> element }) once per page. A wish is a POST with an idempotency key;
 * what became of it comes back on the "commands" topic and stands beside the position: sent, done, or refused and why.
 */

import { feed } from "./feed.js";
import { ageText, money, pct, price, quantity, setSigned, setText, typedPrice } from "./format.js";
import { clearRefusal, showMark } from "./positions_outcome.js";
import { freshKey, send } from "./positions_send.js";

const NAMES = {
  ClosePosition: "Close", ChangeStop: "Stop move", ChangeTarget: "Target move", SetTrailing: "Trailing stop", ClearTrailing: "Trailing stop off",
  SetBreakEven: "Break-even", SetTimeStop: "Time stop", SetPartialTarget: "Partial target", ClearPartialTargets: "Targets off", ScaleIn: "Addition",
  ReversePosition: "Reverse",
};
const OLD_PRICE_SECONDS = 30;

let page;
let dialog;
let dialogId = "";

export function startWishes(hooks) {
  page = hooks;
  dialog = document.getElementById("close-dialog");
  document.addEventListener("submit", onSubmit);
  document.addEventListener("click", onClick);
  document.addEventListener("input", onInput);
  document.addEventListener("toggle", onToggle, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeEdits(); });
  feed.join("commands", (rows) => rows.forEach(showOutcome), { snapshot: false });
}

const idOf = (element) => element.closest("[data-row]")?.dataset.row ?? "";

/* --- outcomes --------------------------------------------------------------------------------------------------- */

const markOf = (id) => page.rootOf(id)?.querySelector('[data-f="wish"]');

function showOutcome(command) {
  const name = NAMES[command.name];
  const mark = name && markOf(command.position_id);
  if (mark) showMark(mark, name, command);
}

/* --- submitting ------------------------------------------------------------------------------------------------- */

async function onSubmit(event) {
  const form = event.target.closest("form[data-wish]");
  if (!form) return;
  event.preventDefault();
  const error = form.querySelector('[data-edit-error], [data-d="error"]');
  error.hidden = true;
  const answer = await send(form);
  if (!answer) return;
  if (answer.error) {
    setText(error, answer.error);
    error.hidden = false;
    return;
  }
  freshKey(form);
  if (form.dataset.wish === "close") dialog.close();
  else form.closest("details")?.removeAttribute("open");
  showOutcome(answer.command);
}

/* --- moving a stop or target in place ---------------------------------------------------------------------------- */

function onToggle(event) {
  const details = event.target;
  if (!details.matches?.("details[data-edit]") || !details.open) return;
  closeEdits(details);
  if (!details.querySelector("form")) makeEdit(details);
  clearRefusal(markOf(idOf(details)));
  const row = page.positionOf(idOf(details));
  const input = details.querySelector("input[name=price]");
  // The event comes after the field is shown: whoever types at once must not lose what was typed.
  const isTyping = document.activeElement === input;
  if (!isTyping) input.value = typedPrice(details.dataset.edit === "stop" ? row?.stop_loss : row?.take_profit);
  details.querySelector("[data-edit-error]").hidden = true;
  hint(details);
  if (isTyping) return;
  input.focus();
  input.select();
}

/* A row's form is made when it is first opened: two hundred rows would be four hundred forms. */
function makeEdit(details) {
  const id = idOf(details);
  const form = document.querySelector(`template[data-edit-form="${details.dataset.edit}"]`).content.firstElementChild.cloneNode(true);
  form.action = `${location.pathname}${encodeURIComponent(id)}/${details.dataset.edit}`;
  freshKey(form);
  details.querySelector("[data-edit-elsewhere]").replaceWith(form);
}

function closeEdits(except = null) {
  for (const open of document.querySelectorAll("details[data-edit][open]")) if (open !== except) open.removeAttribute("open");
}

/* What the typed price would mean, before it is sent. */
function hint(details) {
  const row = page.positionOf(idOf(details));
  const value = Number.parseFloat(details.querySelector("input[name=price]").value);
  const target = details.querySelector("[data-edit-hint]");
  if (!row || !Number.isFinite(value) || !row.last) { setText(target, ""); return; }
  const isStop = details.dataset.edit === "stop";
  const away = ((row.last - value) * row.direction) / row.last;
  const result = (value - row.entry_price) * row.quantity;
  const wrong = isStop ? away <= 0 : away >= 0;
  const sign = result > 0 ? "+" : "";
  details.classList.toggle("wrong-side", wrong);
  setText(target, wrong ? `Wrong side of the last price, ${price(row.last)}` : `${pct(Math.abs(away), 2)} from last · ${sign}${money(result, 0)} USD if filled there`);
}

/* --- closing ----------------------------------------------------------------------------------------------------- */

function openDialog(id) {
  const row = page.positionOf(id);
  if (!dialog || !row) return false;
  dialogId = id;
  const form = dialog.querySelector("form");
  const held = Math.abs(row.quantity);
  form.action = `${form.dataset.base}${encodeURIComponent(id)}/close`;
  clearRefusal(markOf(id));
  freshKey(form);
  part("error").hidden = true;
  for (const field of [form.elements.quantity, part("slider")]) { field.max = String(held); field.value = String(held); }
  estimate();
  dialog.showModal();
  return true;
}

const part = (name) => dialog.querySelector(`[data-d="${name}"]`);

/* Names symbol, side, size and money; repeated while the dialog is open because the price moves. */
function estimate() {
  const row = page.positionOf(dialogId);
  if (!row) { // it ended under the open dialog, which goes on being about that position and no other
    setText(part("error"), "This position has closed meanwhile. There is nothing left to close.");
    part("error").hidden = false;
    part("confirm").disabled = true;
    return;
  }
  const held = Math.abs(row.quantity);
  const asked = Math.floor(Number(dialog.querySelector("input[name=quantity]").value));
  const shares = Number.isFinite(asked) ? Math.min(Math.max(asked, 0), held) : 0;
  const verb = row.direction > 0 ? "Sell" : "Buy";
  setText(part("symbol"), `${row.direction > 0 ? "long" : "short"} ${row.symbol}`);
  setText(part("held"), `${quantity(row.quantity)} at ${price(row.entry_price)}`);
  setText(part("order"), `${verb} ${quantity(shares)} ${row.symbol}, market`);
  const seconds = (Date.now() - Date.parse(row.last_at)) / 1000;
  setText(part("last"), seconds > OLD_PRICE_SECONDS ? `${price(row.last)}, ${ageText(seconds)} old` : price(row.last));
  setText(part("value"), money(row.last === null ? null : shares * row.last));
  setSigned(part("result"), row.last === null || row.entry_price === null ? null : (row.last - row.entry_price) * shares * row.direction);
  setText(part("exits"), shares < held ? `kept, resized to ${quantity(held - shares)}` : "cancelled once the exit fills");
  setText(part("confirm"), `${verb} ${quantity(shares)} ${row.symbol}`);
  part("confirm").disabled = shares < 1;
}

function setShares(value) {
  dialog.querySelector("input[name=quantity]").value = String(value);
  part("slider").value = String(value);
  estimate();
}

function onInput(event) {
  const details = event.target.closest?.("details[data-edit]");
  if (details) hint(details);
  if (dialog?.open && dialog.contains(event.target)) {
    if (event.target.type === "range") setShares(event.target.value);
    else if (event.target.name === "quantity") { part("slider").value = event.target.value; estimate(); }
  }
}

function onClick(event) {
  const opener = event.target.closest("[data-close]");
  if (opener && !event.ctrlKey && !event.metaKey && openDialog(idOf(opener))) event.preventDefault();
  if (event.target.closest("[data-close-dismiss]") || event.target === dialog) dialog.close();
  if (event.target.closest("[data-edit-cancel]")) closeEdits();
  const share = event.target.closest("[data-part]");
  if (share) setShares(Math.max(1, Math.floor(Math.abs(page.positionOf(dialogId)?.quantity ?? 0) * Number(share.dataset.part))));
}

/* Called by pages when a position changed while its dialog may be open. */
export function refreshDialog() {
  if (dialog?.open) estimate();
}

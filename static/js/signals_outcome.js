/* A decided card keeps its place and says what came of it: decided what, by whom, and later what the worker did.
 *
 * settle(card, row) when the signal is no longer pending, revive(card) when it is again, showCommand(card, command) when the worker
 * reports. watchDecided(container, forget) takes decided cards away when the person says so ("Clear decided"), or when nobody has
 * been near them for a minute. Never under a pointer, nor after a touch, nor while something in them has the focus.
 */

import { badge, et, price, quantity, setText } from "./format.js";
import { allowApproval, cell, sideOf } from "./signals_cards.js";

const QUIET_MS = 60_000;
const NEAR_PX = 60;
const OVER = { expired: "Nobody decided it in time.", superseded: "Another prediction took its place." };

function byWhom(row) {
  const when = row.decided_at ? ` at ${et(row.decided_at)}` : "";
  const who = row.decided_by ? `by ${row.decided_by}${when}` : "";
  return [who, row.reason || OVER[row.state] || ""].filter(Boolean).join(": ");
}

/* `ticket`: the numbers this page sent, when it was this page. */
export function settle(card, row, ticket = null) {
  if (Number(card.dataset.v) > row.v) return;
  if (!card.dataset.settled) {
    card.style.height = `${card.getBoundingClientRect().height}px`;
    card.settledAt = performance.now();
  }
  const hadFocus = card !== document.activeElement && card.contains(document.activeElement);
  card.dataset.settled = row.state;
  card.dataset.v = row.v;
  card.question?.over(`Nothing was sent: this signal is ${row.state} ${byWhom(row)}.`);
  for (const form of card.querySelectorAll("form")) form.hidden = true;
  cell(card, "notes").hidden = true;
  cell(card, "outcome").hidden = false;
  cell(card, "outcome_badge").replaceChildren(badge(row.state));
  setText(cell(card, "outcome_by"), byWhom(row));
  if (ticket) setText(cell(card, "outcome_ticket"), `${sideOf(ticket)} ${quantity(ticket.quantity)} ${ticket.symbol}, limit ${price(ticket.entry)}`);
  setText(cell(card, "countdown"), row.state);
  cell(card, "countdown").classList.remove("short");
  allowApproval(card);
  if (hadFocus) card.focus({ preventScroll: true });
}

/* The signal waits again: an approval that came to nothing is decided anew, by the numbers of now. */
export function revive(card) {
  delete card.dataset.settled;
  card.overdue = false;
  card.style.height = "";
  for (const form of card.querySelectorAll("form")) form.hidden = form.classList.contains("signal-reject");
  for (const input of card.querySelectorAll("[data-touched]")) { delete input.dataset.touched; input.classList.remove("edited"); }
  cell(card, "notes").hidden = false;
  cell(card, "outcome").hidden = true;
  for (const name of ["outcome_ticket", "outcome_command"]) setText(cell(card, name), "");
}

export function showCommand(card, command) {
  if (!card?.dataset.settled || !["ApproveSignal", "RejectSignal"].includes(command.name)) return;
  const line = cell(card, "outcome_command");
  const waiting = command.state === "pending" || command.state === "claimed";
  const why = command.reason;
  line.dataset.state = command.state;
  if (command.name === "RejectSignal") setText(line, "");
  else if (waiting) setText(line, "Sent to the worker…");
  else if (command.state === "done") setText(line, "The worker has carried it out.");
  else setText(line, `The worker ${command.state === "expired" ? "did not get to it" : "refused it"}: ${why || "no reason given"}`);
}

/* --- when they go ---------------------------------------------------------------------------------------------------- */

const pointer = { x: -1, y: -1 };

function note(event) {
  const isTouch = event.pointerType === "touch";
  Object.assign(pointer, isTouch ? { x: -1, y: -1 } : { x: event.clientX, y: event.clientY });
}

const isNear = (element) => {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return pointer.x >= left - NEAR_PX && pointer.x <= right + NEAR_PX && pointer.y >= top - NEAR_PX && pointer.y <= bottom + NEAR_PX;
};

/* `forget(card)` takes the card out of the page's own list; `button` says how many there are and clears them. */
export function watchDecided(container, forget, button) {
  let nearAt = performance.now();
  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, note, { capture: true, passive: true });
  document.documentElement.addEventListener("pointerleave", () => { pointer.x = -1; });
  for (const name of ["pointerdown", "touchmove", "keydown"]) container.addEventListener(name, () => { nearAt = performance.now(); }, { passive: true });

  const decided = () => [...container.children].filter((card) => card.dataset.settled);
  const show = () => {
    const count = decided().length;
    button.classList.toggle("unseen", count === 0);
    button.disabled = count === 0;
    setText(button, `Clear ${count} decided`);
  };
  const clear = (cards) => {
    for (const card of cards) { forget(card); card.remove(); }
    show();
  };
  button.addEventListener("click", () => clear(decided()));
  setInterval(() => {
    const now = performance.now();
    if (isNear(container) || container.contains(document.activeElement) || document.querySelector("dialog[open]")) nearAt = now;
    const old = decided().filter((card) => now - card.settledAt > QUIET_MS);
    if (old.length && now - nearAt > QUIET_MS) clear(old);
    else show();
  }, 1000);
  return show;
}

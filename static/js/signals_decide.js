/* Deciding on a card: asks, sends, says what came of it. Mouse, finger and key go the same way.
 *
 * startCards(container) once per page. A decision that was taken is told as the event "decided" of its card, with the server's answer.
 */

import { feed } from "./feed.js";
import { freshKey, send } from "./positions_send.js";
import { price, quantity } from "./format.js";
import { ask, asks } from "./signals_ask.js";
import { allowApproval, approveForm, cell, hideIf, prepare, sideOf, whyNot } from "./signals_cards.js";
import { settle, showCommand } from "./signals_outcome.js";
import { showAnswer } from "./signals_refusals.js";
import { typed } from "./signals_ticket.js";
import { toast } from "./toasts.js";

/* Approve by the numbers that stand on the card. */
export async function approve(card) {
  if (!card.row || card.question || whyNot(card)) return;
  if (asks && !(await ask(card))) return;
  if (!whyNot(card)) decide(approveForm(card));
}

async function decide(form) {
  const card = form.closest(".signal-card");
  if (card.classList.contains("busy") || card.dataset.settled) return; // a double click is one decision; the key says so to the server too
  const what = form.dataset.decide;
  const ticket = { ...card.row };
  const error = cell(card, what === "approve" ? "error" : "reject_error");
  error.hidden = true;
  card.classList.add("busy");
  allowApproval(card);
  const answer = await send(form);
  card.classList.remove("busy");
  allowApproval(card);
  if (answer.error) {
    showAnswer(error, answer);
    error.hidden = false;
    cell(card, "notes").scrollTop = 0;
    if (!answer.code?.startsWith("already_")) freshKey(form);
    card.dispatchEvent(new CustomEvent("refused", { bubbles: true, detail: answer }));
    return;
  }
  const { command } = answer;
  const outcome = { ...ticket, state: answer.state, v: ticket.v + 1, decided_by: command.created_by, decided_at: command.created_at, reason: command.payload.reason ?? "" };
  settle(card, outcome, what === "approve" ? ticket : null);
  showCommand(card, command);
  if (what === "approve") toast(`Approved: ${sideOf(ticket).toLowerCase()} ${quantity(ticket.quantity)} ${ticket.symbol}, limit ${price(ticket.entry)}`, "good", cell(card, "symbol").href);
  else toast(`Rejected: ${sideOf(ticket).toLowerCase()} ${ticket.symbol}`, "good", cell(card, "symbol").href);
  card.dispatchEvent(new CustomEvent("decided", { bubbles: true, detail: answer }));
}

export function openReject(card) {
  const form = card.querySelector(".signal-reject");
  if (!form || card.dataset.settled) return;
  form.hidden = false;
  form.elements.reason.focus();
}

function closeReject(card) {
  hideIf(card.querySelector(".signal-reject"), true);
  card.querySelector("[data-reject-open]").focus({ preventScroll: true });
}

export function startCards(container) {
  for (const card of container.children) prepare(card);
  feed.state((_state, moved) => { if (moved) for (const card of container.children) allowApproval(card); });
  container.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.decide === "approve") approve(form.closest(".signal-card"));
    else decide(form);
  });
  container.addEventListener("input", (event) => typed(event.target));
  container.addEventListener("click", (event) => {
    const card = event.target.closest(".signal-card");
    if (event.target.closest("[data-reject-open]")) openReject(card);
    if (event.target.closest("[data-reject-close]")) closeReject(card);
  });
}

/* What a person types into a ticket, judged by the server while they type: risk, R, margin, refusals, and whether Approve is alive.
 *
 * The server fills the fields the person left alone by its own proposal, so the answer is a whole ticket. The latest answer wins.
 * Until it is there Approve is disabled, and says why.
 */

import { TICKET, allowApproval, approveForm, cell, writeCard } from "./signals_cards.js";

const PAUSE_MS = 250;
const AGAIN_MS = 2000;
export const UNANSWERED = "The desk did not answer: these numbers are not judged. It is asked again.";

export const isTyped = (card) => Boolean(approveForm(card)?.querySelector("[data-touched]"));

/* Called for every input of a card. */
export function typed(input) {
  if (!TICKET.includes(input.name)) return;
  const card = input.closest(".signal-card");
  input.dataset.touched = "yes";
  input.classList.add("edited");
  card.judging = "Being checked…";
  allowApproval(card);
  clearTimeout(card.judgeTimer);
  card.judgeTimer = setTimeout(() => judge(card), PAUSE_MS);
}

/* Judges what stands in the fields the person touched; also called when the market has moved on. */
export async function judge(card) {
  if (card.dataset.settled || card.question || !isTyped(card)) return;
  clearTimeout(card.judgeTimer);
  const asked = card.judged = (card.judged ?? 0) + 1;
  const form = approveForm(card);
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("[data-touched]")) query.set(input.name, input.value);
  const answer = await read(`${cell(card, "symbol").href}judge?${query}`);
  if (asked !== card.judged || card.dataset.settled) return;
  if (answer === null) {
    card.judging = UNANSWERED;
    card.judgeTimer = setTimeout(() => judge(card), AGAIN_MS);
    allowApproval(card);
    return;
  }
  if (!isSame(form, query)) return; // typed on: a later question is on its way
  card.judging = "";
  mark(card, answer.errors);
  if (answer.row) writeCard(card, answer.row);
  allowApproval(card);
}

const isSame = (form, query) => [...form.querySelectorAll("[data-touched]")].every((input) => query.get(input.name) === input.value);

async function read(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
    return answer.ok && (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : null;
  } catch {
    return null;
  }
}

/* field → sentence */
function mark(card, errors) {
  card.fieldError = Object.values(errors)[0] ?? "";
  const form = approveForm(card);
  for (const name of TICKET) {
    const input = form.elements[name];
    if (name in errors) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    input.title = errors[name] ?? "";
  }
}

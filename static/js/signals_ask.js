/* The question before an approval, the same for mouse and key: symbol, side, size, money, account and mode; the safe answer has the focus.
 *
 *   if (await ask(card)) …      true when the person said yes to exactly the numbers of the question.
 *
 * "Approve and send" comes alive only after a moment, so that the second click of an impatient double click answers nothing. What
 * changes while the question stands open does not change what was asked: it is said, and takes the yes away when it stands against it.
 */

import { money, price, quantity, setText } from "./format.js";
import { CLOSES, allowApproval, sideOf, writeCard } from "./signals_cards.js";

const READ_MS = 700;
const LOOK_MS = 50;

const dialog = document.getElementById("approve-dialog");
const part = (name) => dialog.querySelector(`[data-c="${name}"]`);
const yes = dialog?.querySelector('[value="approve"]');

/* A desk may do without the question in simulated mode: then its page has no dialog. */
export const asks = dialog !== null;

function fill(row) {
  const closes = CLOSES.includes(row.action);
  setText(part("title"), `${sideOf(row)} ${quantity(row.quantity)} ${row.symbol}`);
  setText(part("order"), `limit ${price(row.entry)}${row.expected ? `, expected at ${price(row.expected)}` : ""}`);
  setText(part("levels"), closes ? "closes the position" : `${price(row.stop)} / ${price(row.target)}`);
  setText(part("notional"), money(row.notional));
  setText(part("risk"), closes ? "–" : money(row.risk_dollars));
  setText(part("worst"), closes ? "–" : money(row.worst_risk));
  setText(part("margin"), money(row.margin));
  setText(part("changed"), "");
}

const steady = () => window.deskSteady?.(yes) ?? true;

export function ask(card) {
  if (dialog.open) return Promise.resolve(false);
  const row = card.row;
  const openedAt = performance.now();
  let against = "";
  const wake = () => { yes.disabled = against !== "" || performance.now() - openedAt < READ_MS || (yes.disabled && !steady()); };
  card.question = {
    changed(newer) {
      against = newer.refusals?.[0]?.message ?? "";
      if (newer.v !== row.v) against = "The signal has changed. Look at its new numbers first.";
      setText(part("changed"), against);
      wake();
    },
    over(text) { against = text; setText(part("changed"), text); wake(); },
  };
  fill(row);
  yes.disabled = true;
  dialog.returnValue = "";
  dialog.showModal();
  const waking = setInterval(wake, LOOK_MS);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      clearInterval(waking);
      const approved = dialog.returnValue === "approve" && against === "";
      card.question = null;
      if (card.waiting && !approved) writeCard(card, card.waiting);
      card.waiting = null;
      allowApproval(card);
      resolve(approved);
    }, { once: true });
  });
}

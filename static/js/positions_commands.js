/* The list "Asked for" on the page of a position or an order: a new command is put on top, and every outcome follows. */

import { badge, price, quantity, setText, timeElement, words } from "./format.js";

const table = document.querySelector("[data-commands]");

const spaced = (name) => name.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function wish({ name, payload = {} }) {
  const to = payload.price ? ` to ${price(payload.price)}` : "";
  return `${spaced(name)}${to}${payload.quantity ? `, ${quantity(payload.quantity)} ${payload.quantity === 1 ? "share" : "shares"}` : ""}`;
}

function cell(row, className, label, ...content) {
  const element = row.insertCell();
  element.className = className;
  if (label) element.dataset.label = label;
  element.append(...content);
}

function newRow(command) {
  const row = document.createElement("tr");
  row.dataset.command = String(command.id);
  const [outcome, reason] = [document.createElement("span"), document.createElement("span")];
  outcome.dataset.outcome = "";
  reason.dataset.reason = "";
  reason.className = "muted";
  cell(row, "cell-title", "", timeElement(command.created_at, { shape: "full" }));
  cell(row, "", "Wish", wish(command));
  cell(row, "num-text", "Outcome", outcome, " ", reason);
  cell(row, "hide-phone", "", command.created_by || "–");
  const below = [...table.tBodies[0].rows].find((other) => Number(other.dataset.command) < command.id);
  table.tBodies[0].insertBefore(row, below ?? null);
  table.hidden = false;
  document.querySelector("[data-commands-empty]")?.setAttribute("hidden", "");
  return row;
}

/* `commands`: rows of the "commands" topic; only those about this page's thing. */
export function followCommands(commands) {
  for (const command of [...commands].sort((a, b) => a.id - b.id)) {
    const row = table.querySelector(`tr[data-command="${command.id}"]`) ?? newRow(command);
    row.querySelector("[data-outcome]").replaceChildren(badge(command.state, words(command.state)));
    setText(row.querySelector("[data-reason]"), command.reason);
  }
}

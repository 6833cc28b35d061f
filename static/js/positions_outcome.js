/* What became of a command, beside the thing it was about. A refusal stands until it is dismissed, the person tries again, or a later
 * command about the same thing went through; success goes by itself. The server's first picture has none of it.
 */

import { words } from "./format.js";

const DONE_SHOWN_MS = 8000;
const FRESH_MS = 120_000; // an older outcome is history: it is listed, not announced

export function showMark(mark, name, command) {
  if (Date.now() - Date.parse(command.at) > FRESH_MS || command.id < Number(mark.dataset.command ?? 0)) return;
  const waiting = command.state === "pending" || command.state === "claimed";
  const done = command.state === "done";
  const text = waiting ? `${name}: sent…` : `${name}: ${words(command.state)}${done ? "" : `. ${command.reason || "no reason given"}`}`;
  if (mark.dataset.dismissed === `${command.id} ${command.state}`) return;
  mark.dataset.command = String(command.id);
  mark.dataset.state = command.state;
  mark.dataset.tone = waiting ? "info" : done ? "good" : "warn";
  if (mark.textContent !== text) mark.replaceChildren(text);
  if (!waiting && !done && !mark.querySelector("button")) mark.append(dismissButton(mark));
  mark.hidden = false;
  if (done) setTimeout(() => { if (mark.dataset.command === String(command.id)) mark.hidden = true; }, DONE_SHOWN_MS);
}

/* The person tries again: what was refused before is over. */
export function clearRefusal(mark) {
  if (!mark || mark.hidden || mark.dataset.tone !== "warn") return;
  mark.hidden = true;
  mark.dataset.dismissed = `${mark.dataset.command} ${mark.dataset.state}`;
}

function dismissButton(mark) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "wish-dismiss" });
  button.setAttribute("aria-label", "Dismiss");
  button.addEventListener("click", () => clearRefusal(mark));
  return button;
}

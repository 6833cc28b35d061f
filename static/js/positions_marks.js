/* Small marks on live cells: the age of a price, and a short flash when it moves. */

import { timeElement } from "./format.js";

export function age(element, iso) {
  if (element.dataset.at === String(iso)) return;
  element.dataset.at = String(iso);
  element.replaceChildren(timeElement(iso, { age: true }));
}

/* Flashes when the number differs from the one shown before; the first one does not count as a move. */
export function flash(element, value) {
  const before = element.dataset.value;
  if (typeof value !== "number" || before === String(value)) return;
  element.dataset.value = String(value);
  if (before === undefined) return;
  const name = value > Number(before) ? "flash-up" : "flash-down";
  element.classList.remove("flash-up", "flash-down");
  requestAnimationFrame(() => element.classList.add(name));
}

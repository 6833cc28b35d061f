/* The positions page: the table of open positions, live. Rows come and go with the "positions" topic; wishes and their
 * outcomes are in positions_wishes.js.
 */

import { feed } from "./feed.js";
import { setSigned, setText } from "./format.js";
import { writePosition } from "./positions_cells.js";
import { refreshDialog, startWishes } from "./positions_wishes.js";

const STALE_PRICE_MS = 30_000;

const body = document.querySelector("[data-open-rows]");
const blank = document.getElementById("open-row");
const base = location.pathname; // /positions/
const rows = new Map(JSON.parse(document.getElementById("open-rows").textContent).map((row) => [row.id, row]));

const rowElement = (id) => body.querySelector(`tr[data-row="${CSS.escape(id)}"]`);

function newRow(row) {
  const element = blank.content.firstElementChild.cloneNode(true);
  const own = `${base}${encodeURIComponent(row.id)}/`;
  element.dataset.row = row.id;
  element.querySelector('[data-f="link"]').href = own;
  for (const form of element.querySelectorAll("form[data-wish]")) form.action = own + form.dataset.wish;
  const close = element.querySelector("[data-close]");
  if (close) close.href = `${own}#manage`;
  body.prepend(element);
  return element;
}

function show(row) {
  const element = rowElement(row.id) ?? newRow(row);
  writePosition(element, row);
  const close = element.querySelector("[data-close]");
  if (close) close.hidden = row.status === "planned";
}

function drop(id) {
  rows.delete(id);
  rowElement(id)?.remove();
}

function onRows(fresh, { snapshot, keys }) {
  for (const row of fresh) {
    if (row.status === "closed") { drop(row.id); continue; }
    rows.set(row.id, row);
    show(row);
  }
  if (snapshot) for (const id of [...rows.keys()]) if (!keys.has(id)) drop(id);
  summarise();
  refreshDialog();
}

function summarise() {
  const known = [...rows.values()].map((row) => row.unrealized_pnl).filter((value) => typeof value === "number");
  const total = known.length ? Math.round(known.reduce((sum, value) => sum + value, 0) * 100) / 100 : rows.size ? null : 0;
  setSigned(document.querySelector("[data-open-total]"), total);
  setText(document.querySelector("[data-open-count]"), String(rows.size));
  document.querySelector("[data-open-table]").hidden = rows.size === 0;
  document.querySelector("[data-open-empty]").hidden = rows.size !== 0;
}

/* A price that stopped coming is dimmed, dated and never looks alive. */
function dimOldPrices() {
  for (const row of rows.values()) {
    const at = Date.parse(row.last_at);
    rowElement(row.id)?.classList.toggle("old-price", Number.isNaN(at) || Date.now() - at > STALE_PRICE_MS);
  }
}

summarise();
dimOldPrices();
setInterval(dimOldPrices, 1000);
feed.join("positions", onRows, { snapshot: true });
startWishes({ positionOf: (id) => rows.get(id), rootOf: rowElement });

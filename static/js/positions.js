/* The positions page: the table of open positions, live. Rows come and go with the "positions" topic, but none moves or goes while
 * somebody is at the table: what opened stands at its end, what ended keeps its place and says how. Many rows are shown a hundred
 * at a time. Wishes and their outcomes are in positions_wishes.js.
 */

import { feed } from "./feed.js";
import { rounded } from "./decimals.js";
import { money, setSigned, setText } from "./format.js";
import { writePosition } from "./positions_cells.js";
import { refreshDialog, startWishes } from "./positions_wishes.js";
import { keepStill } from "./still_table.js";

const STALE_PRICE_MS = 30_000;

const body = document.querySelector("[data-open-rows]");
const blank = document.getElementById("open-row");
const more = document.querySelector("[data-open-more]");
const base = location.pathname; // /positions/
const page = Number(more.dataset.page);
const rows = new Map(JSON.parse(document.getElementById("open-rows").textContent).map((row) => [row.id, row]));
const elements = new Map([...body.children].map((element) => [element.dataset.row, element]));
const ended = new Set(); // ids whose rows still stand
let most = Math.max(page, elements.size);
let known = elements.size >= Number(more.dataset.total); // whether `rows` are all there are

const still = keepStill(body, settle);

function newRow(row) {
  const element = blank.content.firstElementChild.cloneNode(true);
  const own = `${base}${encodeURIComponent(row.id)}/`;
  element.dataset.row = row.id;
  element.querySelector('[data-f="link"]').href = own;
  for (const link of element.querySelectorAll("[data-close], [data-edit-elsewhere]")) link.href = `${own}#manage`;
  elements.set(row.id, element);
  return element;
}

function write(element, row) {
  writePosition(element, row);
  const close = element.querySelector("[data-close]");
  if (close) close.hidden = row.status === "planned" || row.status === "closed";
}

/* The ended row says what came of it until the person moves on. */
function end(id, row = null) {
  rows.delete(id);
  const element = elements.get(id);
  if (!element || ended.has(id)) return;
  ended.add(id);
  if (row) write(element, row);
  element.classList.add("over");
  const close = element.querySelector("[data-close]");
  if (close) close.hidden = true;
  const mark = element.querySelector('[data-f="wish"]');
  mark.hidden = false;
  mark.dataset.tone = "info";
  setText(mark, row ? `Closed. Net ${money(row.realized_pnl)} USD` : "No longer open.");
}

/* Newest first, as the server writes them. */
const newestFirst = (a, b) => (a.open_time === b.open_time ? 0 : (a.open_time ?? "~") < (b.open_time ?? "~") ? 1 : -1);

function settle() {
  for (const id of ended) { elements.get(id)?.remove(); elements.delete(id); }
  ended.clear();
  const shown = [...rows.values()].sort(newestFirst).slice(0, most);
  const ids = new Set(shown.map((row) => row.id));
  for (const [id, element] of elements) if (!ids.has(id)) { element.remove(); elements.delete(id); }
  let place = body.firstElementChild;
  for (const row of shown) {
    const isNew = !elements.has(row.id);
    const element = elements.get(row.id) ?? newRow(row);
    if (isNew) write(element, row);
    if (element === place) place = place.nextElementSibling;
    else body.insertBefore(element, place);
  }
  summarise();
}

function onRows(fresh, { snapshot, keys }) {
  const before = rows.size;
  let moved = false;
  for (const row of fresh) {
    if (row.status === "closed") { moved = rows.has(row.id) || moved; end(row.id, row); continue; }
    const isNew = !rows.has(row.id);
    moved ||= isNew;
    rows.set(row.id, row);
    const element = elements.get(row.id);
    if (element) write(element, row);
    else if (isNew && still.busy() && elements.size < most) append(row);
  }
  if (snapshot) for (const id of [...rows.keys()]) if (!keys.has(id)) { end(id); moved = true; }
  if (snapshot) known = true;
  if (moved || before !== rows.size) { if (still.busy()) still.later(); else settle(); }
  summarise();
  refreshDialog();
}

function append(row) {
  const element = newRow(row);
  write(element, row);
  body.append(element);
}

function summarise() {
  const total = known ? rows.size : Math.max(Number(more.dataset.total), rows.size);
  if (known) {
    const results = [...rows.values()].map((row) => row.unrealized_pnl).filter((value) => typeof value === "number");
    setSigned(document.querySelector("[data-open-total]"), results.length ? rounded(results.reduce((sum, value) => sum + value, 0), 2) : rows.size ? null : 0);
  }
  const shown = elements.size - ended.size;
  setText(document.querySelector("[data-open-count]"), String(total));
  document.querySelector("[data-open-table]").hidden = elements.size === 0;
  document.querySelector("[data-open-empty]").hidden = elements.size !== 0;
  more.hidden = shown >= total;
  setText(more.querySelector("[data-open-shown]"), `${shown} of ${total} open`);
  setText(more.querySelector("[data-open-rest]"), `and ${total - shown} more`);
}

more.querySelector("[data-open-rest]").addEventListener("click", (event) => {
  if (!known) return; // the link shows them all
  event.preventDefault();
  most += page;
  settle();
});

/* A price that stopped coming is dimmed, dated and never looks alive. */
function dimOldPrices() {
  for (const [id, element] of elements) {
    const at = Date.parse(rows.get(id)?.last_at);
    element.classList.toggle("old-price", Number.isNaN(at) || Date.now() - at > STALE_PRICE_MS);
  }
}

summarise();
dimOldPrices();
setInterval(dimOldPrices, 1000);
feed.join("positions", onRows, { snapshot: true });
startWishes({ positionOf: (id) => rows.get(id), rootOf: (id) => elements.get(id) });

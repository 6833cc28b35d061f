/* The live trace: newest on top, filtered by type and symbol, held back while paused. */

import { feed } from "./feed.js";
import { et, setText, timeElement } from "./format.js";

const MOST_ROWS = 500;
const list = document.getElementById("trace");
const empty = document.getElementById("trace-empty");
const held = document.getElementById("trace-held");
const pause = document.getElementById("trace-pause");
const typeFilter = document.getElementById("filter-type");
const symbolFilter = document.getElementById("filter-symbol");
const quietFilter = document.getElementById("filter-quiet");
const groups = JSON.parse(document.getElementById("event-groups").textContent);

let paused = false;
let waiting = [];
let newestSeq = Math.max(0, ...[...list.children].map((row) => Number(row.dataset.seq)));

const plainType = (name) => name.replace(/Event$/, "").replace(/(?!^)([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);

function matches(row) {
  const type = typeFilter.value;
  const symbol = symbolFilter.value.trim().toUpperCase();
  return (quietFilter.checked || !row.quiet) && (!type || (groups[type] ?? [type]).includes(row.type)) && (!symbol || row.symbol === symbol);
}

function cell(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function rowElement(row) {
  const item = document.createElement("li");
  item.className = "event-row arrived";
  item.dataset.seq = row.seq;
  const seq = document.createElement("a");
  seq.className = "event-seq num";
  seq.href = `${list.dataset.journal}?before=${row.seq + 1}`;
  seq.textContent = row.seq;
  const time = cell("event-time", "");
  time.append(timeElement(row.at));
  const type = cell("event-type", plainType(row.type));
  item.append(seq, time, type, cell("symbol", row.symbol), cell("event-text", row.text));
  return item;
}

function show(rows) {
  for (const row of rows) list.prepend(rowElement(row));
  while (list.children.length > MOST_ROWS) list.lastElementChild.remove();
  empty.hidden = list.children.length > 0;
}

feed.join("tape", (rows) => {
  const fresh = rows.filter((row) => row.seq > newestSeq).sort((a, b) => a.seq - b.seq);
  if (!fresh.length) return;
  newestSeq = fresh.at(-1).seq;
  const wanted = fresh.filter(matches);
  if (!paused) { show(wanted); return; }
  waiting = waiting.concat(wanted).slice(-MOST_ROWS);
  setText(held, waiting.length ? `${waiting.length} held since ${et(waiting[0].at)}` : "");
});

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  setText(pause, paused ? "Resume" : "Pause");
  if (!paused) { show(waiting.filter(matches)); waiting = []; setText(held, ""); }
});

/* Another filter is another list: the server draws it, and the address can be shared. */
for (const control of [typeFilter, quietFilter]) control.addEventListener("change", () => typeFilter.form.requestSubmit());

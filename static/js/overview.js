/* The overview's live parts: figures and equity line, pending signals, open positions, tape, health. */

import { startEquityChart } from "./overview_chart.js";
import { feed } from "./feed.js";
import { keepStill } from "./still_table.js";
import { UNKNOWN, ageText, et, money, pct, price, quantity, setMultiple, setSigned, setSignedPct, setText, signedParts, timeElement, tone, words } from "./format.js";

const byId = (id) => document.getElementById(id);
const figure = (name) => document.querySelector(`[data-figure="${name}"]`);

/* --- figures and chart ------------------------------------------------------------------------------------------ */

const chart = startEquityChart(byId("equity-chart"), byId("equity-note"));

function showEquity(point) {
  setText(figure("equity"), money(point.equity));
  setText(figure("cash"), money(point.cash));
  setSigned(figure("day_pnl"), point.day_pnl);
  setSigned(figure("unrealized_pnl"), point.unrealized_pnl);
  setText(figure("open_risk"), money(point.open_risk));
  const base = point.equity - point.day_pnl;
  if (base > 0) setSignedPct(figure("day_pct"), point.day_pnl / base);
  if (point.equity > 0) setText(figure("risk_pct"), `${pct(point.open_risk / point.equity, 2)} of equity`);
}

feed.join("equity", (rows) => {
  const newest = rows.reduce((a, b) => (!a || Date.parse(b.at) > Date.parse(a.at) ? b : a), null);
  if (!newest) return;
  showEquity(newest);
  chart.add(newest);
});

/* --- rows that appear, change and go; none moves or goes away under a pointer ---------------------------------------- */

function keepList({ topic, parent, emptyElement, wanted, make, update, wrap = null, order = null, most, counted = null, ended }) {
  const elements = new Map([...parent.children].map((element) => [element.dataset.id, element]));
  const all = new Set(elements.keys());
  let whole = false; // whether a list of all there are has been read
  const over = new Set(); // ids whose elements still stand under somebody's pointer
  const still = keepStill(parent, () => { for (const id of over) drop(id); over.clear(); showEmpty(); });
  function drop(id) {
    elements.get(id)?.remove();
    elements.delete(id);
  }
  function end(id, row = null) {
    all.delete(id);
    if (!elements.has(id)) return;
    if (!still.busy()) { drop(id); return; }
    over.add(id);
    elements.get(id).classList.add("over");
    ended(elements.get(id), row);
    still.later();
  }
  function showEmpty() {
    emptyElement.hidden = elements.size !== 0;
    if (wrap) wrap.hidden = elements.size === 0;
  }
  feed.join(topic, (rows, { snapshot, keys }) => {
    if (snapshot) {
      const known = new Set([...keys].map(String));
      for (const id of [...all]) if (!known.has(id)) end(id);
    }
    for (const row of rows) {
      const id = String(row.id);
      if (!wanted(row)) { end(id, row); continue; }
      all.add(id);
      if (over.delete(id)) backAgain(elements.get(id));
      if (!elements.has(id)) {
        if (elements.size >= most) continue;
        const element = make(row);
        element.dataset.id = id;
        elements.set(id, element);
        const after = order && !still.busy() ? [...parent.children].find((other) => order(row, other)) : null;
        parent.insertBefore(element, after ?? null);
      }
      update(elements.get(id), row);
    }
    showEmpty();
    if (snapshot) whole = true;
    if (whole) counted?.(all.size, elements.size);
  });
  return elements;
}

function backAgain(element) {
  element.classList.remove("over");
  element.querySelector(".ended-note")?.remove();
}

/* How what still stands under a pointer or focus came to its end, at its name. */
function noteEnd(place, text) {
  place.querySelector(".ended-note")?.remove();
  place.append(span("ended-note", text));
}

function span(className, text = "") {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

const pendingRows = keepList({
  topic: "signals",
  parent: byId("pending"),
  emptyElement: byId("pending-empty"),
  most: 12,
  wanted: (row) => row.state === "pending" && Date.parse(row.expires_at) > feed.now(),
  make(row) {
    const link = document.createElement("a");
    link.href = `/signals/${encodeURIComponent(row.id)}/`;
    const side = span("side", row.direction > 0 ? "Buy" : "Sell");
    side.dataset.side = row.direction;
    const expiry = document.createElement("time");
    expiry.className = "num countdown";
    link.append(side, span("symbol", row.symbol), span("num"), span("num muted"), expiry);
    const item = document.createElement("li");
    item.append(link);
    return item;
  },
  ended: (item, row) => noteEnd(item.querySelector(".symbol"), row && row.state !== "pending" ? words(row.state) : "over"),
  update(item, row) {
    const [, , confidence, reference, expiry] = item.firstElementChild.children;
    setText(confidence, pct(row.confidence));
    setText(reference, price(row.price));
    expiry.dateTime = row.expires_at;
  },
});

function countDown() {
  for (const [id, item] of pendingRows) {
    const expiry = item.querySelector(".countdown");
    const left = (Date.parse(expiry.dateTime) - feed.now()) / 1000;
    if (left <= 0 && byId("pending").matches(":hover")) { setText(expiry, "expired"); continue; }
    if (left <= 0) { item.remove(); pendingRows.delete(id); continue; }
    setText(expiry, ageText(left));
    expiry.title = `Expires ${et(expiry.dateTime)}`;
    expiry.toggleAttribute("data-soon", left < 30);
  }
  byId("pending-empty").hidden = pendingRows.size > 0;
  const all = Number(document.querySelector("[data-pending-count]").textContent);
  setText(byId("pending-more"), all > pendingRows.size ? `${pendingRows.size} of ${all} shown` : "");
}

keepList({
  topic: "positions",
  parent: byId("positions-table").tBodies[0],
  emptyElement: byId("positions-empty"),
  wrap: byId("positions-wrap"),
  wanted: (row) => row.status !== "closed",
  order: (row, other) => other.cells[0].textContent > row.symbol,
  most: 30,
  counted(open, shown) {
    setText(figure("held"), String(open));
    byId("positions-more").hidden = open <= shown;
    setText(byId("positions-more"), `${shown} of ${open} open, and ${open - shown} more`);
  },
  make(row) {
    const line = document.createElement("tr");
    for (const [at, hidden] of [0, 0, 0, 0, 1, 0, 1, 1, 1, 1].entries()) {
      const cell = line.insertCell();
      if (at) cell.className = hidden ? "num hide-phone" : "num";
    }
    const link = document.createElement("a");
    link.className = "symbol";
    link.textContent = row.symbol;
    link.href = `/positions/${encodeURIComponent(row.id)}/`;
    line.cells[0].append(link);
    return line;
  },
  ended(line, row) {
    const parts = [row?.exit_price ? `closed at ${price(row.exit_price)}` : "closed"];
    if (typeof row?.realized_pnl === "number") parts.push(`P&L ${signedParts(row.realized_pnl).text}`);
    noteEnd(line.cells[0], parts.join(", "));
  },
  update(line, row) {
    const cells = line.cells;
    setText(cells[1], quantity(row.quantity));
    setText(cells[2], price(row.entry_price));
    flash(cells[3], row.last);
    setText(cells[3], price(row.last));
    if (cells[4].firstElementChild?.dateTime !== row.last_at) cells[4].replaceChildren(row.last_at ? timeElement(row.last_at, { age: true, limit: 10 }) : UNKNOWN);
    setSigned(cells[5], row.unrealized_pnl);
    setSignedPct(cells[6], row.unrealized_pct);
    setMultiple(cells[7], row.r_multiple);
    setText(cells[8], price(row.stop_loss));
    setText(cells[9], pct(row.stop_distance_pct, 2));
  },
});

function flash(cell, value) {
  const before = Number(cell.dataset.value);
  cell.dataset.value = value ?? "";
  if (!value || !before || before === value) return;
  cell.classList.remove("flash-up", "flash-down");
  requestAnimationFrame(() => cell.classList.add(value > before ? "flash-up" : "flash-down"));
}

/* --- tape -------------------------------------------------------------------------------------------------------- */

const tape = byId("tape");
let newestSeq = Math.max(0, ...[...tape.children].map((row) => Number(row.dataset.seq)));

feed.join("tape", (rows) => {
  for (const row of rows.filter((one) => one.seq > newestSeq && !one.quiet).sort((a, b) => a.seq - b.seq)) {
    newestSeq = row.seq;
    const item = document.createElement("li");
    item.className = "arrived";
    item.dataset.seq = row.seq;
    const time = span("tape-time");
    time.append(timeElement(row.at));
    item.append(time, span("tape-symbol symbol", row.symbol), span("tape-text", row.text));
    tape.prepend(item);
    while (tape.children.length > 60) tape.lastElementChild.remove();
  }
  byId("tape-empty").hidden = tape.children.length > 0;
});

/* --- health: asked of the server itself every 5 s, so that it is true with Redis and the worker dead ---------------- */

const healthList = document.querySelector(".health-list");
const healthNote = byId("health-note");
let healthReadAt = performance.now();

async function readHealth() {
  if (document.hidden) return;
  try {
    const answer = await fetch(healthList.dataset.url, { headers: { Accept: "application/json" }, cache: "no-store" });
    const body = await answer.json();
    if (!body.checks) return;
    healthReadAt = performance.now();
    for (const check of body.checks) showCheck(check);
    setText(healthNote, body.ready ? "Fit to trade" : "Not fit to trade");
  } catch { /* the note below dates what is shown */ }
}

function showCheck(check) {
  const item = healthList.querySelector(`[data-check="${CSS.escape(check.id)}"]`);
  if (!item) return;
  item.dataset.tone = tone(check.state);
  setText(item.querySelector(".health-state"), check.state);
  const detail = item.querySelector(".health-detail");
  setText(detail, check.detail);
  detail.title = check.detail;
  const age = item.querySelector(".health-age");
  if (age.firstElementChild?.dateTime !== check.at) age.replaceChildren(check.at ? timeElement(check.at, { age: true }) : "");
}

setInterval(() => {
  countDown();
  setText(byId("clock"), et(new Date(feed.now()).toISOString()));
  const silent = (performance.now() - healthReadAt) / 1000;
  if (silent > 12) setText(healthNote, `Read ${ageText(silent)} ago`);
}, 1000);
setInterval(readHealth, 5000);
readHealth();
countDown();

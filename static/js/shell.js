/* The frame of every page: link light and banners, pending count, ages, theme and menu, halt dialog, shortcuts. */

import { feed } from "./feed.js";
import { ageText, ageWords, et, price, quantity, redateTimes, setClock, setText, words } from "./format.js";
import "./submit_lock.js";
import { toast } from "./toasts.js";

setClock(() => feed.now());
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const body = document.body;
const { user } = document.querySelector("[data-socket]").dataset;

/* --- link light and the banner that dates stale numbers ---------------------------------------------------------- */

const light = byId("live-light");
const linkBanner = byId("banner-link");
const bannerPart = (banner, name) => banner.querySelector(`[data-banner-${name}]`);

function linkSentence(state) {
  if (state.word === "logged-out") return ["You are logged out.", "What you see is from before."];
  if (state.word === "polling") return ["Live link is away.", "Numbers are read every 2 seconds instead."];
  const retry = state.retryIn > 0 ? ` Trying again in ${Math.ceil(state.retryIn / 1000)} s.` : "";
  const why = state.socketOpen ? "The trading worker or its message line is silent." : "The server cannot be reached.";
  return [`Numbers are ${ageWords(state.age / 1000)} old.`, why + retry];
}

feed.state((state) => {
  const tones = { live: "good", polling: "info", connecting: "quiet", stale: "warn", "logged-out": "warn" };
  const labels = { live: "Live", polling: "Polling", connecting: "…", stale: ageText(state.age / 1000), "logged-out": "Logged out" };
  light.dataset.tone = tones[state.word];
  setText(light.querySelector(".link-text"), labels[state.word]);
  light.title = state.word === "live" ? "Live: heartbeat within 5 seconds" : linkSentence(state).join(" ");
  linkBanner.hidden = state.word === "live" || state.word === "connecting";
  if (!linkBanner.hidden) {
    const [title, text] = linkSentence(state);
    setText(bannerPart(linkBanner, "title"), title);
    setText(bannerPart(linkBanner, "text"), text);
    bannerPart(linkBanner, "link").hidden = state.word !== "logged-out";
  }
});

/* --- trading state and gateway, from the heartbeat --------------------------------------------------------------- */

const tradingBanner = byId("banner-trading");
const gatewayBanner = byId("banner-gateway");

function showTrading(trading) {
  const word = trading?.state;
  if (!word || word === "unknown") return; // the worker does not say: what the server rendered stands
  tradingBanner.hidden = word === "active";
  tradingBanner.dataset.tone = word === "halted" ? "alarm" : "warn";
  setText(bannerPart(tradingBanner, "title"), word === "halted" ? "Trading is halted." : "Reduce only.");
  setText(bannerPart(tradingBanner, "text"), word === "halted" ? "No new orders leave. Stops and targets stay at the broker." : "Exits work, entries are refused.");
  setText(bannerPart(tradingBanner, "reason"), trading.reason || "");
  const button = document.querySelector("[data-halt-open]");
  if (!button) return;
  button.dataset.state = word;
  setText(button, word === "halted" ? "Halted" : "Halt");
}

function showGateway(gateway) {
  const down = ["down", "disconnected", "upstream_lost"].includes(gateway?.state);
  gatewayBanner.hidden = !down;
  if (down) setText(bannerPart(gatewayBanner, "text"), `Orders cannot be sent or changed; what rests at the broker stays. ${gateway.detail || words(gateway.state)}`);
}

/* A difference between our book and the broker's holds entries back on every page, not only on its own. */
function showBooks(books) {
  const banner = byId("banner-books");
  banner.hidden = !books?.blocked;
  if (books?.blocked) setText(bannerPart(banner, "text"), books.blocked);
}

/* A stop that could not be placed: a banner while it lasts, a note when it begins. Tasks wait quietly. */
const toldAlarms = new Set();
function showProtection(protection) {
  const alarms = protection?.alarms ?? [];
  const banner = byId("banner-protection");
  banner.hidden = alarms.length === 0;
  const rule = protection?.rule === "flatten" ? "It is being closed at the market." : "It is held; the stop is tried again.";
  if (alarms.length) setText(bannerPart(banner, "text"), `${alarms.map((alarm) => `${alarm.symbol}: ${alarm.detail}`).join("; ")}. ${rule}`);
  for (const alarm of alarms) {
    const key = `${alarm.position_id} ${alarm.since}`;
    if (toldAlarms.has(key)) continue;
    toldAlarms.add(key);
    toast(`${alarm.symbol} has no stop: ${alarm.detail}`, "alarm", `/positions/${encodeURIComponent(alarm.position_id)}/`);
  }
  const tasks = byId("banner-tasks");
  tasks.hidden = !protection?.tasks;
  if (protection?.tasks) setText(bannerPart(tasks, "text"), protection.tasks === 1 ? "One open task." : `${protection.tasks} open tasks.`);
}

feed.health((health) => {
  showProtection(health.protection);
  showTrading(health.trading);
  showGateway(health.gateway);
  showBooks(health.books);
});

/* --- pending signals: badge and title ---------------------------------------------------------------------------- */

const pending = new Map(); // signal id -> expiry, ms
const plainTitle = document.title.replace(/^\(\d+\) /, "");

function showPending() {
  const now = feed.now();
  for (const [id, expiry] of pending) if (expiry <= now) pending.delete(id);
  for (const count of document.querySelectorAll("[data-pending-count]")) {
    count.hidden = pending.size === 0;
    setText(count, String(pending.size));
  }
  document.title = `${body.dataset.urgent ? "URGENT " : ""}${pending.size ? `(${pending.size}) ` : ""}${plainTitle}`;
}

/* Side, size, symbol and price: the proposal's where the row carries one, else the prediction's price. */
function signalWords(row) {
  const at = row.entry ?? row.price;
  return `${row.direction > 0 ? "buy" : "sell"} ${row.quantity ? `${quantity(row.quantity)} ` : ""}${row.symbol}${at ? ` at ${price(at)}` : ""}`;
}

/* A frame carries no proposal: its size is asked for, and the note comes without one when nobody answers. */
async function tellSignal(what, row) {
  const proposed = row.quantity ? row : await proposalOf(row.id);
  toast(`${what}: ${signalWords(proposed ?? row)}`, "info", `/signals/${encodeURIComponent(row.id)}/`);
}

async function proposalOf(id) {
  try {
    const answer = await fetch(`/signals/cards?room=0&skip=0&ids=${encodeURIComponent(id)}`, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
    return answer.ok && !answer.redirected ? (await answer.json()).rows[0] : null;
  } catch { return null; }
}

let pendingKnown = false;
feed.join("signals", (rows, { snapshot, keys }) => {
  if (snapshot) for (const id of pending.keys()) if (!keys.has(id)) pending.delete(id);
  for (const row of rows) {
    if (row.state !== "pending") { pending.delete(row.id); continue; }
    const expiry = Date.parse(row.expires_at);
    const isNew = !pending.has(row.id);
    pending.set(row.id, Number.isNaN(expiry) ? Infinity : expiry);
    const what = row.v > 1 ? "Waits for a decision" : "New signal"; // a refused approval gives its signal back
    if (pendingKnown && isNew) tellSignal(what, row);
  }
  pendingKnown = true;
  showPending();
});

/* --- outcomes of commands ---------------------------------------------------------------------------------------- */

const toldCommands = new Set();
const commandNames = {
  ApproveSignal: "Approval", RejectSignal: "Rejection", ClosePosition: "Close", ChangeStop: "Stop change", ChangeTarget: "Target change",
  CancelOrder: "Cancel", HaltTrading: "Halt", ReduceOnly: "Reduce only", ResumeTrading: "Resume", FlattenAll: "Flatten all",
};

/* Side, size, symbol and price of what was asked for. Without an answer the note still comes: the outcome matters more. */
async function commandWords(row) {
  try {
    const answer = await fetch(`/commands/${row.id}/words`, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
    return answer.ok && !answer.redirected ? (await answer.json()).words : "";
  } catch { return ""; }
}

async function tellOutcome(row) {
  const name = commandNames[row.name] ?? row.name.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  const what = await commandWords(row);
  const link = row.signal_id && `/signals/${encodeURIComponent(row.signal_id)}/`;
  const told = what ? `${name}: ${what}` : name;
  if (row.state === "done") toast(`${told}, done`, "good");
  else toast(`${told}, ${row.state}: ${row.reason || "no reason given"}`, "warn", link);
}

feed.join("commands", (rows) => {
  for (const row of rows) {
    const justNow = feed.now() - Date.parse(row.at) < 8000; // the page after a POST still hears the outcome
    if (row.created_by !== user || !justNow || row.state === "pending" || row.state === "claimed" || toldCommands.has(row.id)) continue;
    toldCommands.add(row.id);
    tellOutcome(row);
  }
});

/* --- ages -------------------------------------------------------------------------------------------------------- */

let day = ""; // of the exchange

setInterval(() => {
  if (document.hidden) return;
  const now = feed.now();
  const today = et(new Date(now).toISOString(), "day");
  if (day && today !== day) redateTimes();
  day = today;
  for (const element of document.querySelectorAll("time[data-age]")) {
    const seconds = (now - Date.parse(element.dateTime)) / 1000;
    setText(element, ageText(seconds));
    if (element.dataset.limit) element.classList.toggle("old", seconds > Number(element.dataset.limit));
  }
  if (pendingKnown) showPending();
}, 1000);

/* --- menu, theme, profit colours --------------------------------------------------------------------------------- */

const sheets = document.querySelectorAll("details.menu, details.session-clock, details[data-notices]");
document.addEventListener("click", (event) => {
  for (const sheet of sheets) if (sheet.open && !sheet.contains(event.target) && !(sheet.matches("[data-notices]") && event.target.closest(".notices"))) sheet.open = false;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") for (const sheet of sheets) sheet.open = false; });

function showChoices() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === root.dataset.themeChoice));
  for (const button of document.querySelectorAll("[data-pnl-choice]")) button.setAttribute("aria-pressed", String(button.dataset.pnlChoice === root.dataset.pnl));
}
for (const button of document.querySelectorAll("[data-theme-choice]")) button.addEventListener("click", () => window.deskAppearance("desk.theme", button.dataset.themeChoice));
for (const button of document.querySelectorAll("[data-pnl-choice]")) button.addEventListener("click", () => window.deskAppearance("desk.pnl", button.dataset.pnlChoice));
root.addEventListener("desk:theme", showChoices);
showChoices();

/* --- halt: the button opens the dialog, the dialog counts what it would touch ------------------------------------- */

const haltDialog = byId("halt-dialog");

async function showScope() {
  for (const cell of haltDialog.querySelectorAll("[data-scope]")) setText(cell, "…");
  let scope = null;
  try {
    const answer = await fetch("/trading/scope", { headers: { Accept: "application/json" }, cache: "no-store" });
    if (answer.ok) scope = await answer.json();
  } catch { /* halting must work although the counts cannot be had */ }
  for (const cell of haltDialog.querySelectorAll("[data-scope]")) setText(cell, scope ? String(scope[cell.dataset.scope] ?? "–") : "unknown");
}

function openHalt() {
  if (!haltDialog || haltDialog.open) return;
  haltDialog.showModal();
  showScope();
}

document.querySelector("[data-halt-open]")?.addEventListener("click", (event) => {
  if (!haltDialog || event.currentTarget.dataset.state === "halted") return; // then it leads to the page that releases
  event.preventDefault();
  openHalt();
});
for (const button of document.querySelectorAll("[data-dialog-close]")) button.addEventListener("click", () => button.closest("dialog").close());

/* --- keyboard: g then a letter goes to a page, Shift+H opens the halt dialog, / goes to the search field ----------- */

const pages = { o: "/", s: "/signals/", p: "/positions/", b: "/orders/", i: "/broker/", h: "/pnl/", e: "/events/" };
let goPressed = 0;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, textarea, select, dialog[open], [contenteditable]")) return;
  if (event.key === "H") { openHalt(); return; }
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); }
    return;
  }
  if (event.key === "g") { goPressed = event.timeStamp; return; }
  const target = event.timeStamp - goPressed < 1200 ? pages[event.key] : null;
  goPressed = 0;
  if (target) location.assign(target);
});

/* --- notices: what the strip shortens, in full ------------------------------------------------------------------- */

const notices = document.querySelector("details[data-notices]");
const noticesCount = notices.querySelector("[data-notices-count]");

function countNotices() {
  const shown = document.querySelectorAll(".banner:not([hidden]), .toast-note").length;
  noticesCount.hidden = shown === 0;
  setText(noticesCount, String(shown));
}
new MutationObserver(countNotices).observe(document.querySelector(".notices"), { subtree: true, childList: true, attributeFilter: ["hidden"] });
countNotices();
document.querySelector(".notices").addEventListener("click", (event) => {
  if (!notices.open && !event.target.closest("a, button")) notices.open = true; // a shortened line is read by touching it
});

for (const note of document.querySelectorAll(".toast-note[data-tone=info], .toast-note[data-tone=good]")) setTimeout(() => note.remove(), 8000);
body.dataset.ready = "yes";

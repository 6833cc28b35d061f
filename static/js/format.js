/* How numbers and times are written in cells: the browser's twin of events/templatetags/desk.py. */

import { rounded, shifted } from "./decimals.js";

export const UNKNOWN = "–";
const MINUS = "\u2212";
const THIN = "\u202f";
const EASTERN = "America/New_York";
const formats = new Map();

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function digits(value, decimals) {
  if (!formats.has(decimals)) {
    formats.set(decimals, new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return formats.get(decimals).format(Math.abs(rounded(value, decimals)));
}

const plain = (value, decimals) => {
  const text = digits(value, decimals);
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
};

export const money = (value, decimals = 2) => (isNumber(value) ? plain(value, decimals) : UNKNOWN);
export const pct = (fraction, decimals = 1) => (isNumber(fraction) ? `${plain(shifted(fraction, 2), decimals)}${THIN}%` : UNKNOWN);

/* How many decimals a number has when it is written with at most four. */
const placesOf = (value) => (String(rounded(value, 4)).split(".")[1] || "").length;

export const quantity = (value) => (isNumber(value) ? plain(value, placesOf(value)) : UNKNOWN);

export function price(value, decimals) {
  if (!isNumber(value)) return UNKNOWN;
  if (decimals !== undefined) return plain(value, decimals);
  return plain(value, Math.abs(value) < 1 ? Math.max(2, placesOf(value)) : 2);
}

/* A price as it stands in a field: 266.10, 0.1234; empty when there is none. */
export function typedPrice(value) {
  if (!isNumber(value)) return "";
  const written = /e/.test(String(value)) ? value.toFixed(8).replace(/0+$/, "") : String(value);
  const [whole, fraction = ""] = written.split(".");
  return `${whole}.${fraction.padEnd(2, "0")}`;
}

/* {text, way}: the text with its sign, and up | down | flat. What rounds to zero is flat and unsigned. */
export function signedParts(value, decimals = 2) {
  if (!isNumber(value)) return { text: UNKNOWN, way: "unknown" };
  const text = plain(value, decimals);
  if (!/[1-9]/.test(text)) return { text, way: "flat" };
  return value < 0 ? { text, way: "down" } : { text: `+${text}`, way: "up" };
}

/* Fills an element with a signed number: triangle, sign, colour. Leaves the DOM alone when nothing changed. */
export function setSigned(element, value, decimals = 2, suffix = "") {
  const { text, way } = signedParts(value, decimals);
  const written = way === "unknown" ? text : text + suffix;
  if (element.dataset.written === written + way) return;
  element.dataset.written = written + way;
  const span = document.createElement("span");
  span.className = way === "unknown" ? "num unknown" : `num pnl ${way}`;
  if (way === "up" || way === "down" || way === "flat") {
    const triangle = document.createElement("span");
    triangle.className = "tri";
    triangle.setAttribute("aria-hidden", "true");
    triangle.textContent = { up: "▲", down: "▼", flat: "" }[way];
    span.append(triangle);
  }
  span.append(written);
  element.replaceChildren(span);
}

export const setSignedPct = (element, fraction, decimals = 2) => setSigned(element, isNumber(fraction) ? shifted(fraction, 2) : null, decimals, `${THIN}%`);
export const NO_R = "No R: no stop, or one already in profit, rested when it was entered.";

/* An R multiple; without one the reason stands beside the dash. */
export function setMultiple(element, value) {
  setSigned(element, value, 2, `${THIN}R`);
  if (!isNumber(value)) element.firstElementChild?.setAttribute("title", NO_R);
}

/* events/templatetags/desk.py in_r and risk_note. */
export const inR = (value) => (isNumber(value) ? `(${plain(value, 2)}${THIN}R)` : "");
export const riskNote = (row) => (!row.opened_quantity || row.risk_taken === undefined ? "" : isNumber(row.risk_taken) ? `risk taken ${plain(row.risk_taken, 2)}` : NO_R);

export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/* events.wording.age_words: an age in a sentence. */
export function ageWords(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole <= 120) return `${whole} s`;
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"]].find(([least]) => whole >= least);
  const count = Math.floor(whole / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

export function ageText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}${THIN}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}${THIN}min`;
  return whole < 86400 ? `${Math.floor(whole / 3600)}${THIN}h` : `${Math.floor(whole / 86400)}${THIN}d`;
}

/* events.wording.left_words: until a moment, rounded up to the next minute from one minute on. */
export function leftText(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.ceil(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const shapes = {
  time: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  minute: { hour: "2-digit", minute: "2-digit" },
  day: { year: "numeric", month: "short", day: "numeric" },
  full: { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" },
};

function eastern(moment, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-US", { timeZone: EASTERN, hourCycle: "h23", ...options }));
  return formats.get(key).format(moment);
}

export function zone(moment) {
  const text = eastern(moment, { timeZoneName: "short", year: "numeric" });
  return text.slice(text.lastIndexOf(" ") + 1);
}

let clock = () => Date.now();

/* The server's clock instead of this machine's: what is today, and how old things are, goes by it. */
export function setClock(now) { clock = now; }

const DATED = { time: shapes.time, minute: shapes.minute, short: shapes.minute }; // shapes that leave out what today makes plain

/* A time of another day carries its date, one of another year its year. */
function shapeFor(moment, shape) {
  const bare = DATED[shape];
  if (!bare) return shapes[shape] ?? shapes.time;
  const now = new Date(clock());
  const sameYear = eastern(moment, { year: "numeric" }) === eastern(now, { year: "numeric" });
  if (shape !== "short" && sameYear && eastern(moment, shapes.day) === eastern(now, shapes.day)) return bare;
  return { month: "short", day: "numeric", ...(sameYear ? {} : { year: "numeric" }), ...bare };
}

/* Exchange time as text with its zone (the day alone has none). */
export function et(iso, shape = "time") {
  const moment = new Date(iso);
  if (!iso || Number.isNaN(moment.getTime())) return UNKNOWN;
  const text = eastern(moment, shapeFor(moment, shape));
  return shape === "day" ? text : `${text} ${zone(moment)}`;
}

/* A <time> element in exchange time; counting its age when `age` is set, marked old beyond `limit` seconds. */
export function timeElement(iso, { shape = "time", age = false, limit = 0 } = {}) {
  const element = document.createElement("time");
  const moment = new Date(iso);
  if (!iso || Number.isNaN(moment.getTime())) {
    element.textContent = UNKNOWN;
    return element;
  }
  element.dateTime = iso;
  element.title = et(iso, "full");
  element.className = age ? "age num" : "et num";
  if (age) element.dataset.age = "";
  if (limit) element.dataset.limit = limit;
  if (!age) element.dataset.shape = shape;
  element.textContent = age ? ageText((clock() - moment.getTime()) / 1000) : et(iso, shape);
  return element;
}

/* Writes the times of a page again: at midnight, what was today's needs its date. */
export function redateTimes() {
  for (const element of document.querySelectorAll("time[data-shape]")) setText(element, et(element.dateTime, element.dataset.shape));
}

const tones = {
  good: ["ok", "connected", "ready", "done", "filled", "resting", "approved", "active"],
  info: ["open", "working", "acked", "sending", "opening", "closing", "adjusting", "partial", "pending", "claimed", "syncing", "connecting", "reconciling", "starting"],
  warn: ["degraded", "reduce_only", "expired", "in_doubt", "denied", "upstream_lost", "rejected", "refused"],
  alarm: ["down", "missing", "halted", "disconnected", "misconfigured"],
};
const toneOf = new Map(Object.entries(tones).flatMap(([tone, states]) => states.map((state) => [state, tone])));

export const tone = (state) => toneOf.get(String(state ?? "").toLowerCase()) ?? "quiet";

/* events.tape.order_state_words: IB holds a stop back until its price is touched, which is a stop at rest. */
export function orderState({ state, why_held: why, role }) {
  if (state !== "held") return words(state);
  const waits = { trigger: "resting", child: "waiting for entry", locate: "waiting for shares to borrow" };
  const known = Object.keys(waits).find((sign) => why?.includes(sign));
  return known ? waits[known] : role === "stop" ? "resting" : "held by the broker";
}

export const words = (state) => String(state ?? "").replaceAll("_", " ");

/* The browser's partials/_badge.html. */
export function badge(state, label = "", title = "") {
  const element = document.createElement("span");
  element.className = "badge-state";
  setBadge(element, state, label);
  if (title) element.title = title;
  return element;
}

export function setBadge(element, state, label = "") {
  if (element.dataset.state === String(state) && !label) return;
  element.dataset.state = state ?? "";
  element.dataset.tone = tone(state);
  setText(element, label || words(state) || "unknown");
}

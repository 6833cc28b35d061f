/* The live link of a page: one WebSocket, snapshots by HTTP, and the verdict whether numbers are live, polled or stale.
 *
 *   import { feed } from "./feed.js"
 *   const leave = feed.join("positions", (rows, { snapshot }) => …, { snapshot: true });
 *   feed.health((health) => …);   feed.state((state) => …);   feed.refresh("orders");
 *
 * Rows arrive newest version only: anything older than what was already handed out for the same row is dropped.
 * A row is known by id, else seq, else symbol. `snapshot` is true when the rows are the whole list.
 * Import this module, never load it by a script tag of its own: two copies would be two sockets.
 */

const FRESH_MS = 5000; // no heartbeat for this long: stale (the worker beats every 2 s)
const TIMER_SLACK_MS = 10;
const POLL_MS = 2000;
const BACKOFF_MS = [300, 1000, 2000, 3500];
const CLOSED_LOGGED_OUT = 4401;
const REMEMBERED_ROWS = 4000;
const BOOKS = new Set(["positions", "orders", "equity", "broker", "tape"]);

const config = document.querySelector("[data-socket]")?.dataset ?? {}; // none for a stranger
const topics = new Map(); // name -> { joins: Set of {onRows, snapshot}, shown: Map of key -> [version, time, heard], epoch, n, loading }
const healthListeners = new Set();
const stateListeners = new Set();

let socket = null;
let attempts = 0;
let retryAt = 0;
let retryTimer = 0;
let openedAt = 0;
let loggedOut = false;
let lastBeat = null; // performance.now() when the worker was last known to be alive
let lastFrame = -Infinity; // the same, by frames of the socket alone
let lastHealth = null;
let serverOffset = null; // ms to add to performance.now() to get the server's clock
let staleTimer = 0;
let lastTick = performance.now();
let lastPoll = 0;
let wasStale = false;
let lastState = "";

const keyOf = (row) => row.id ?? row.seq ?? row.symbol ?? "";

function isNewer(shown, row) {
  const known = shown.get(keyOf(row));
  if (!known) return true;
  const version = row.v ?? 0;
  return version > known[0] || (version === known[0] && Date.parse(row.at) >= known[1]);
}

function accept(topic, rows, heard) {
  const fresh = rows.filter((row) => isNewer(topic.shown, row));
  for (const row of fresh) {
    topic.shown.delete(keyOf(row)); // re-inserted last, so that pruning drops the longest unseen
    topic.shown.set(keyOf(row), [row.v ?? 0, Date.parse(row.at) || 0, heard]);
  }
  for (const key of topic.shown.keys()) {
    if (topic.shown.size <= REMEMBERED_ROWS) break;
    topic.shown.delete(key);
  }
  return fresh;
}

/* `asked` is when a snapshot was asked for; null for a frame. */
function deliver(topic, rows, asked) {
  const snapshot = asked !== null;
  const fresh = accept(topic, rows, asked ?? performance.now());
  if (!fresh.length && !snapshot) return;
  // A snapshot names every row there was: rows that a frame has since overtaken keep the frame's values, and those it brought stay.
  const keys = snapshot ? new Set(rows.map(keyOf)) : null;
  if (snapshot) for (const [key, [, , heard]] of topic.shown) if (heard > asked) keys.add(key);
  for (const join of topic.joins) {
    try { join.onRows(fresh, { snapshot, keys }); } catch (error) { console.error(error); }
  }
}

/* --- snapshots -------------------------------------------------------------------------------------------------- */

async function read(name) {
  const asked = performance.now();
  const answer = await fetch(config.live + name, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
  const isJson = (answer.headers.get("content-type") || "").includes("json");
  if (answer.status === 401 || (answer.redirected && !isJson)) { endSession(); return null; }
  return answer.ok && isJson ? { ...(await answer.json()), asked } : null;
}

async function load(name) {
  const topic = topics.get(name);
  if (!topic || topic.loading) return;
  topic.loading = true;
  try {
    const body = await read(name);
    if (body) {
      noteHealth(body.health, body.at, "poll", body.asked);
      deliver(topic, body.rows || [], body.asked);
    }
  } catch { /* the network is away: the state says so */ } finally { topic.loading = false; }
}

function loadAll() {
  for (const [name, topic] of topics) if ([...topic.joins].some((join) => join.snapshot)) load(name);
}

async function loadHealth() {
  try {
    const body = await read("health");
    if (body) noteHealth(body.health ?? body.rows?.[0], body.at, "poll", body.asked);
  } catch { /* as above */ }
}

/* --- health and state ------------------------------------------------------------------------------------------- */

const serverNow = () => (serverOffset === null ? Date.now() : performance.now() + serverOffset);

/* An answer was made just now. A frame may have waited on its way, and can only show that the server's clock is ahead of our guess. */
function noteClock(serverTime, by) {
  const offset = serverTime - performance.now();
  if (!Number.isNaN(offset) && (by === "poll" || serverOffset === null || offset > serverOffset)) serverOffset = offset;
}

/* `asked`: when the answer was asked for, on performance.now(); a slow answer makes nothing younger. */
function noteHealth(health, serverTime, by, asked = null) {
  if (!health) return;
  const at = Date.parse(serverTime ?? health.at);
  noteClock(at, by);
  // A frame proves that the worker lived when it was sent; a snapshot only that it lived when it last wrote its heartbeat.
  const proof = by === "socket"
    ? performance.now() - Math.max(0, serverNow() - at)
    : asked - Math.max(0, at - Date.parse(health.worker?.heartbeat_at));
  if (by === "socket" && proof > lastFrame) lastFrame = proof;
  if (!Number.isNaN(proof) && (lastBeat === null || proof > lastBeat)) {
    lastBeat = proof;
    clearTimeout(staleTimer);
    // At that moment, not at the next tick. A timer drops fractions of its milliseconds, and a moment too early is a second too late.
    staleTimer = setTimeout(tellState, Math.max(0, FRESH_MS - (performance.now() - proof)) + TIMER_SLACK_MS);
  }
  lastHealth = health;
  for (const listener of healthListeners) {
    try { listener(health); } catch (error) { console.error(error); }
  }
}

function currentState() {
  const now = performance.now();
  const socketOpen = socket?.readyState === WebSocket.OPEN;
  const age = lastBeat === null ? now : now - lastBeat;
  const linked = socketOpen && Math.min(now - lastFrame, now - openedAt) < FRESH_MS;
  let word = "stale";
  if (loggedOut) word = "logged-out";
  else if (age >= FRESH_MS && now < FRESH_MS) word = "connecting";
  else if (age < FRESH_MS) word = linked ? "live" : now < FRESH_MS ? "connecting" : "polling";
  return { word, age, socketOpen, retryIn: socketOpen ? 0 : Math.max(0, retryAt - now), known: lastBeat !== null, health: lastHealth };
}

function tellState() {
  const state = currentState();
  const stale = state.word === "stale" || state.word === "logged-out";
  document.documentElement.classList.toggle("stale", stale);
  if (wasStale && !stale) loadAll(); // whatever was missed is read again before anything may be trusted
  wasStale = stale;
  const moved = state.word !== lastState;
  lastState = state.word;
  for (const listener of stateListeners) {
    try { listener(state, moved); } catch (error) { console.error(error); }
  }
}

function endSession() {
  loggedOut = true;
  socket?.close();
  tellState();
}

/* --- the socket ------------------------------------------------------------------------------------------------- */

function askToJoin() {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ join: [...new Set(["health", ...topics.keys()])] }));
}

function onFrame(text) {
  let frame;
  try { frame = JSON.parse(text); } catch { return; }
  if (frame.kind === "joined") { loadAll(); return; }
  if (frame.kind === "heartbeat" || frame.topic === "health") {
    noteHealth(frame.health ?? frame.rows?.[0], frame.at, "socket");
    tellState();
    if (frame.kind === "heartbeat") return;
  }
  const topic = topics.get(frame.topic);
  if (!topic) return;
  const counted = frame.n > 0; // only the worker numbers its frames; the web and the tasks send 0
  const gap = counted && topic.n !== null && frame.epoch === topic.epoch && frame.n > topic.n + 1;
  const restarted = counted && topic.epoch !== null && frame.epoch !== topic.epoch;
  if (counted) { topic.n = frame.n; topic.epoch = frame.epoch; }
  deliver(topic, frame.rows || [], null);
  if (gap || restarted) load(frame.topic);
}

function connect() {
  clearTimeout(retryTimer);
  if (loggedOut || socket) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(`${scheme}//${location.host}${config.socket}`);
  socket = opened;
  opened.onopen = () => { attempts = 0; openedAt = performance.now(); askToJoin(); tellState(); };
  opened.onmessage = (event) => onFrame(event.data);
  opened.onclose = (event) => {
    if (socket !== opened) return;
    socket = null;
    for (const topic of topics.values()) topic.n = null;
    if (event.code === CLOSED_LOGGED_OUT) { endSession(); return; }
    const wait = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length - 1)] * (0.7 + Math.random() * 0.6);
    attempts += 1;
    retryAt = performance.now() + wait;
    retryTimer = setTimeout(connect, wait);
    tellState();
  };
}

function reconnectNow() {
  if (loggedOut) return;
  attempts = 0;
  if (socket) askToJoin(); else connect();
}

function tick() {
  const now = performance.now();
  const slept = now - lastTick > 4 * 1000 && !document.hidden;
  lastTick = now;
  if (slept) { reconnectNow(); loadAll(); }
  const { word } = currentState();
  if (word !== "live" && !loggedOut && !document.hidden && now - lastPoll >= POLL_MS && now > 1500) {
    lastPoll = now;
    loadHealth();
    loadAll();
  }
  tellState();
}

/* --- public ----------------------------------------------------------------------------------------------------- */

export const feed = {
  join(name, onRows, { snapshot = true } = {}) {
    if (BOOKS.has(name) && "onlyLookedAt" in document.body.dataset) return () => {}; // its frames are of the traded account
    let topic = topics.get(name);
    const isNew = !topic;
    if (isNew) {
      topic = { joins: new Set(), shown: new Map(), epoch: null, n: null, loading: false };
      topics.set(name, topic);
    }
    const join = { onRows, snapshot };
    topic.joins.add(join);
    if (isNew) askToJoin();
    else if (snapshot) { // a late joiner needs the rows others already have
      for (const known of topic.shown.values()) known[0] = -1;
      load(name);
    }
    return () => {
      topic.joins.delete(join);
      if (!topic.joins.size) topics.delete(name);
    };
  },
  health(listener) {
    healthListeners.add(listener);
    if (lastHealth) listener(lastHealth);
  },
  state(listener) {
    stateListeners.add(listener);
    listener(currentState(), true);
  },
  refresh(name) { return load(name); },
  now() { return serverNow(); }, // for ages on screen: the server's clock, not this machine's
};

if (config.socket) {
  connect();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  addEventListener("online", reconnectNow);
  addEventListener("pagehide", () => socket?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) reconnectNow(); });
}

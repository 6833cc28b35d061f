/* The session clock in the strip: the server's word, asked again whenever it says it will change. Only the countdown runs here. */

import { feed } from "./feed.js";
import { leftText, setText } from "./format.js";

const ASK_AGAIN_MS = 5 * 60_000; // limits and calendars are edited, machines sleep
const SLACK_MS = 500;
const clock = document.getElementById("session-clock");
const part = (name) => clock.querySelector(`[data-session-${name}]`);
const moment = (name) => Date.parse(clock.dataset[name]);
const held = {
  halted: "Trading is halted: an approval now is refused.",
  reduce_only: "Reduce only: an approval that opens or adds is refused now.",
};
let trading = null; // the state word the heartbeat last carried
let askedAt = performance.now();
let asking = false;

function show(row) {
  clock.dataset.state = row.state;
  clock.dataset.until = row.until;
  clock.dataset.changesAt = row.changes_at;
  setText(part("label"), row.label);
  setText(part("next"), row.next);
  const sentences = row.sentences.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
  part("sentences").replaceChildren(...sentences);
  part("approval").dataset.openMarket = row.approval;
  showLeft();
  showApproval();
}

function showLeft() {
  setText(part("left"), `(${leftText((moment("changesAt") - feed.now()) / 1000)})`);
}

/* Until the heartbeat says what the trading state is, the server's first picture stands. */
function showApproval() {
  if (trading) setText(part("approval"), held[trading] ?? part("approval").dataset.openMarket);
}

async function ask() {
  if (asking) return;
  asking = true;
  askedAt = performance.now();
  try {
    const answer = await fetch("/session", { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
    if (answer.ok && !answer.redirected) show(await answer.json());
  } catch { /* the network is away: the strip says so, and this asks again */ } finally { asking = false; }
}

function tick() {
  showLeft();
  const due = feed.now() >= moment("until") + SLACK_MS;
  const waited = performance.now() - askedAt;
  if (!document.hidden && waited > 1000 && (due || waited > ASK_AGAIN_MS)) ask();
}

if (clock) {
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  feed.health((health) => {
    if (health.trading?.state && health.trading.state !== "unknown") trading = health.trading.state;
    showApproval();
  });
}

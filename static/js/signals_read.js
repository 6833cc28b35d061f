/* Reads what the cards of a page would become. Asked again with each heartbeat of the worker, which brings new prices, and when told.
 *
 *   const askSoon = startReading(base, () => ({ ids, room, skip }), take);   take({ rows, over, total })
 */

import { feed } from "./feed.js";

const SETTLE_MS = 60; // changes come in bursts: one question for all of them
const BEAT_MS = 1000; // several words about the desk's health may come at once

export function startReading(base, wanted, take) {
  let asking = false;
  let askAgain = false;
  let soon = 0;
  let askedAt = -Infinity;

  async function ask() {
    soon = 0;
    if (asking) { askAgain = true; return; }
    asking = true;
    askedAt = performance.now();
    try {
      const answer = await fetch(`${base}cards?${new URLSearchParams(wanted())}`, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
      if (answer.ok && (answer.headers.get("content-type") || "").includes("json")) take(await answer.json());
    } catch { /* the network is away: the link's banner says so */ } finally { asking = false; }
    if (askAgain) { askAgain = false; askSoon(); }
  }

  function askSoon() {
    if (!soon) soon = setTimeout(ask, SETTLE_MS);
  }

  feed.health(() => { if (!document.hidden && performance.now() - askedAt > BEAT_MS) askSoon(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) askSoon(); });
  return askSoon;
}

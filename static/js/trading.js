/* The trading page: the server renders it; this puts the newest rendering of its parts in place, but never under a hand that types. */

import { feed } from "./feed.js";

const EVERY = 10_000; // ms: the counts of orders and positions move without a command
const parts = () => [...document.querySelectorAll("[data-part]")];
let shown = document.querySelector("[data-trading-state]").dataset.tradingState;
let loading = false;
let again = false;

const filled = (field) => field.type !== "hidden" && (field.value !== "" || field === document.activeElement);
const busy = (part) => [...part.querySelectorAll("input")].some(filled) || part.querySelector("form[data-sending]") !== null;

/* What a part says. Its hidden fields (a token and a key, new with each rendering) are as good as those that stand: for them alone
 * nothing is replaced under a pointer, or under a click that is on its way. */
function saying(part) {
  const copy = part.cloneNode(true);
  for (const field of copy.querySelectorAll("input[type=hidden]")) field.remove();
  return copy.innerHTML;
}

function place(page) {
  for (const part of parts()) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!fresh || busy(part) || saying(part) === saying(fresh)) continue;
    part.replaceWith(document.importNode(fresh, true));
  }
  shown = page.querySelector("[data-trading-state]")?.dataset.tradingState ?? shown;
}

async function refresh() {
  again = loading;
  if (loading) return;
  loading = true;
  try {
    const answer = await fetch(location.pathname, { credentials: "same-origin", cache: "no-store" });
    if (answer.ok && !answer.redirected) place(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the network is away: the link's banner says so */ } finally { loading = false; }
  if (again) refresh();
}

feed.join("commands", () => refresh(), { snapshot: false });
feed.health((health) => {
  const word = health.trading?.state;
  if (word && word !== "unknown" && word !== shown) refresh();
});
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);

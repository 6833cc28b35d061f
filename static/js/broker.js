/* The Broker page: the server renders the comparison; this puts the newest rendering in place and says when it grows old. */

import { feed } from "./feed.js";

const root = document.querySelector("[data-books]");
const RESOLUTIONS = new Set(["AdoptHolding", "CloseHolding", "ReleasePosition", "AcknowledgeDifference", "ResolveDoubt"]);
let loading = false;
let wanted = false;

const books = () => root.querySelector(".books");

/* Somebody is filling in a resolution: what they look at does not change under their hands. */
const busy = () => root.querySelector("details[data-resolve][open]") !== null;

async function refresh() {
  wanted = true;
  if (loading || busy()) return;
  loading = true;
  wanted = false;
  try {
    const answer = await fetch(root.dataset.rows, { credentials: "same-origin", cache: "no-store" });
    if (answer.ok && !answer.redirected) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".books");
      if (fresh && !busy()) root.replaceChildren(document.importNode(fresh, true));
    }
  } catch { /* the network is away: the age says so */ } finally { loading = false; }
  showAge();
}

function showAge() {
  const shown = books();
  if (!shown) return;
  const seconds = (feed.now() - Date.parse(shown.dataset.at)) / 1000;
  const old = !(seconds <= Number(shown.dataset.staleSeconds));
  shown.classList.toggle("old", old);
  const note = shown.querySelector("[data-books-old]");
  note.hidden = !old;
  if (old) shown.querySelector("[data-verdict]").dataset.tone = "stale";
}

function isNewer(row) {
  const shown = Date.parse(books()?.dataset.at);
  return Number.isNaN(shown) || Date.parse(row.at) > shown;
}

root.addEventListener("toggle", () => { if (wanted && !busy()) refresh(); }, true);
feed.join("broker", (rows) => { if (rows.some(isNewer)) refresh(); });
feed.join("commands", (rows) => { if (rows.some((row) => RESOLUTIONS.has(row.name))) refresh(); }, { snapshot: false });
setInterval(() => { showAge(); if (wanted) refresh(); }, 1000);

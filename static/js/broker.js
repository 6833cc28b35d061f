/* The Broker page: the server renders the comparison; this puts the newest rendering in place and says when it grows old. */

import { feed } from "./feed.js";
import { patch } from "./patch.js";
import { keepStill } from "./still_table.js";

const root = document.querySelector("[data-books]");
const RESOLUTIONS = new Set(["AdoptHolding", "CloseHolding", "ReleasePosition", "AcknowledgeDifference", "ResolveDoubt"]);
let loading = false;
let wanted = false;

const books = () => root.querySelector(".books");

/* Somebody is at it: rows keep their places, and a resolution that is being filled in stays as it is. */
const still = keepStill(root, refresh);

async function refresh() {
  wanted = true;
  if (loading) return;
  loading = true;
  wanted = false;
  try {
    const answer = await fetch(root.dataset.rows, { credentials: "same-origin", cache: "no-store" });
    if (answer.ok && !answer.redirected) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".books");
      if (fresh && patch(books(), fresh, { still: still.busy() })) still.later();
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

feed.join("broker", (rows) => { if (rows.some(isNewer)) refresh(); });
feed.join("commands", (rows) => { if (rows.some((row) => RESOLUTIONS.has(row.name))) refresh(); }, { snapshot: false });
setInterval(() => { showAge(); if (wanted) refresh(); }, 1000);

/* What the desk's server answers, or a sentence a person can act on: no browser's own words for an error reach a page. */

const AWAY = "The desk cannot be reached. What is shown is from before; reload the page when it answers again.";

class Plain extends Error {}

/* JSON of our own server. Throws only what `sentence` can say. */
export async function fetchJson(url) {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  } catch { throw new Plain(AWAY); }
  if (response.redirected) throw new Plain("You are logged out. Log in again to see this.");
  if (!response.ok) throw new Plain(`This could not be loaded (${response.status}). Reload the page to try again.`);
  try { return await response.json(); } catch { throw new Plain("The desk's answer was cut off. Reload the page to try again."); }
}

/* What to show of an error; one of our own making is a bug, and its words are for the console. */
export function sentence(error) {
  if (error instanceof Plain) return error.message;
  console.error(error);
  return "This could not be drawn. Reload the page to try again.";
}

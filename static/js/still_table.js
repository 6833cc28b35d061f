/* A table keeps still while somebody is at it: with the pointer over it, the keyboard's focus in it, or something of it open.
 *
 * const still = keepStill(body, settle): `still.busy()` says whether somebody is; rows may then be added at the end and marked, but
 * neither moved nor taken away. `still.later()` asks for settle() once nobody is any more.
 */

const DWELL_MS = 150; // a pointer that crosses a gap between rows has not left

export function keepStill(body, settle) {
  let wanted = false;
  let timer = 0;
  const busy = () => body.matches(":hover") || (body.contains(document.activeElement) && document.activeElement.matches(":focus-visible")) || body.querySelector("details[open]") !== null || document.querySelector("dialog[open]") !== null;
  function check() {
    if (!wanted || busy()) return;
    wanted = false;
    settle();
  }
  function soon() {
    clearTimeout(timer);
    timer = setTimeout(check, DWELL_MS);
  }
  body.addEventListener("pointerleave", soon);
  for (const name of ["focusout", "toggle", "close"]) document.addEventListener(name, soon, true);
  document.addEventListener("pointerdown", (event) => { if (!body.contains(event.target)) soon(); });
  return { busy, later() { wanted = true; soon(); } };
}

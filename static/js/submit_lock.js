/* One submission of a form at a time: every POST form of every page, also those that scripts send.
 *
 * A form that leaves the page is locked when it really leaves: after all handlers have run and none has held it back. A form that
 * a script sends is locked by `whileSending` until its answer is there. What is locked shows it and takes no second submit;
 * the idempotency key makes one harmless even so. A page that is still here after a while, or comes back, is free again.
 */

const STILL_HERE_MS = 8000; // the browser gave the navigation up, or the answer was a file

export const isSending = (form) => form.dataset.sending !== undefined;

/* `work` is called unless the form is being sent already; then the answer is undefined. */
export async function whileSending(form, work) {
  if (isSending(form)) return undefined;
  lock(form);
  try { return await work(); } finally { unlock(form); }
}

const buttonsOf = (form) => [...form.elements].filter((element) => element.type === "submit");

function lock(form) {
  form.dataset.sending = "";
  for (const button of buttonsOf(form)) button.setAttribute("aria-disabled", "true"); // `disabled` would drop the focus
}

function unlock(form) {
  delete form.dataset.sending;
  for (const button of buttonsOf(form)) button.removeAttribute("aria-disabled");
}

const isPost = (event) => (event.submitter?.getAttribute("formmethod") ?? event.target.getAttribute("method") ?? "get").toLowerCase() === "post";

addEventListener("submit", (event) => {
  if (!isPost(event)) return;
  if (isSending(event.target)) { event.preventDefault(); event.stopImmediatePropagation(); return; }
  setTimeout(() => {
    if (event.defaultPrevented || isSending(event.target)) return;
    lock(event.target);
    setTimeout(() => unlock(event.target), STILL_HERE_MS);
  });
}, true);

addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.querySelectorAll("form[data-sending]")) unlock(form);
});

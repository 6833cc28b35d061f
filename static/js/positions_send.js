/* Sends a form that files a command and reads the answer: {command} when it was filed, {error} in plain words when not. */

import { whileSending } from "./submit_lock.js";

const NO_ANSWER = "No answer from the desk. The wish may have been filed: check the outcome before trying again.";

/* Undefined when the form is being sent already: a double click is one wish. */
export const send = (form) => whileSending(form, () => sendUntilKnown(form));

async function sendUntilKnown(form) {
  let answer = await sendOnce(form);
  while (answer.code === "step_up") {
    const password = await askPassword(answer.error);
    if (password === null) return { error: "Nothing was sent: the password was not given.", code: "step_up_left" };
    answer = await sendOnce(form, { [answer.field]: password });
  }
  return answer;
}

/* The server wants the password again. The form stays as it is; null when the person would rather not. */
function askPassword(said) {
  const dialog = document.createElement("dialog");
  dialog.className = "confirm";
  dialog.setAttribute("aria-label", "Confirm it is you");
  const form = document.createElement("form");
  form.method = "dialog";
  form.className = "confirm-body";
  const title = document.createElement("h2");
  title.textContent = "Confirm it is you";
  const text = document.createElement("p");
  text.textContent = said;
  const label = document.createElement("label");
  label.className = "field";
  label.textContent = `Password of ${document.querySelector("[data-socket]").dataset.user} `;
  const input = document.createElement("input");
  Object.assign(input, { type: "password", className: "form-control", autocomplete: "current-password", maxLength: 128, required: true });
  label.append(input);
  const buttons = document.createElement("div");
  buttons.className = "confirm-actions";
  for (const [value, words, look] of [["keep", "Not now", "btn"], ["go", "Confirm and send", "btn btn-primary"]]) {
    const button = document.createElement("button");
    Object.assign(button, { value, textContent: words, className: look, formNoValidate: value === "keep" });
    buttons.append(button);
  }
  form.append(title, text, label, buttons);
  dialog.append(form);
  document.body.append(dialog);
  /* Enter presses the first button of a form, and that is the safe one; in a password field it means to go on. */
  input.addEventListener("keydown", (event) => { if (event.key === "Enter" && input.value) { event.preventDefault(); dialog.close("go"); } });
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => { const typed = dialog.returnValue === "go" ? input.value : null; dialog.remove(); resolve(typed); });
    dialog.showModal();
    input.focus();
  });
}

async function sendOnce(form, more = {}) {
  const fields = new FormData(form);
  for (const [name, value] of Object.entries(more)) fields.set(name, value);
  let response;
  try {
    response = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json" }, credentials: "same-origin" });
  } catch {
    return { error: NO_ANSWER };
  }
  const isJson = (response.headers.get("content-type") || "").includes("json");
  if (isJson) return response.json();
  if (response.redirected) return { error: "You are logged out. Log in and try again." };
  return { error: response.status === 403 ? "You are not allowed to do this." : `The desk refused this (${response.status}).` };
}

/* A filed wish is over: the next one from the same form is a new wish. After an unanswered one the key stays. */
export function freshKey(form) {
  form.elements.key.value = crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random().toString(36).slice(2, 14)}`;
}

/* Sends a form that files a command and reads the answer: {command} when it was filed, {error} in plain words when not. */

const NO_ANSWER = "No answer from the desk. The wish may have been filed: check the outcome before trying again.";

export async function send(form) {
  let response;
  try {
    response = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" }, credentials: "same-origin" });
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

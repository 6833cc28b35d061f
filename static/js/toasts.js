/* Short notes in the corner: text only, at most four, gone after eight seconds; refusals stay until dismissed. */

const MOST = 4;
const place = document.getElementById("toasts");

export function toast(text, tone = "info", link = "") {
  if (!place) return;
  const note = document.createElement("div");
  note.className = "toast-note";
  note.dataset.tone = tone;
  const words = document.createElement(link ? "a" : "span");
  words.textContent = text;
  if (link) words.href = link;
  const close = document.createElement("button");
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  close.addEventListener("click", () => note.remove());
  note.append(words, close);
  place.append(note);
  while (place.children.length > MOST) place.firstElementChild.remove();
  if (tone !== "warn" && tone !== "alarm") setTimeout(() => note.remove(), 8000);
}

/* ? shows what the keys do. */

const dialog = document.getElementById("keys-dialog");

document.addEventListener("keydown", (event) => {
  if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, textarea, select, dialog[open], [contenteditable]")) return;
  event.preventDefault();
  if (!dialog.open) dialog.showModal();
});

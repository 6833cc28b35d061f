/* Puts the server's newest rendering of a part in the place of an older one without replacing what is the same: an element stays the
 * element it was, with its focus, its selection, its scroll and what was typed. Rows are told apart by their data attributes.
 *
 * patch(old, fresh, { still }): while `still`, nothing is added, taken away or moved, only texts and attributes change; the answer
 * says whether something was withheld, for whoever patches again later. A form that is filled in is left as it is in any case.
 */

const KEYS = ["data-row", "data-resolution", "data-aside", "data-lock", "data-command", "id", "aria-labelledby"];
const KEPT = new Set(["open", "value", "data-sending", "aria-disabled"]); // belongs to the page, not to the rendering
const ONCE = new Set(["key", "csrfmiddlewaretoken"]); // hidden fields that are as good as new

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? KEYS.map((name) => node.getAttribute(name)).find((value) => value) ?? "" : "");
const kindOf = (node) => `${node.nodeName} ${keyOf(node)}`;

const isFilled = (field) => field.type !== "hidden" && field.type !== "submit" && (field === document.activeElement || (field.value ?? "") !== (field.defaultValue ?? ""));
const inUse = (element) => element.matches("form") && [...element.elements].some(isFilled);
const isOpen = (element) => element.matches("details[data-resolve][open]");

function isSelected(node) {
  const selection = document.getSelection();
  return Boolean(selection) && !selection.isCollapsed && selection.containsNode(node, true);
}

function patchAttributes(old, fresh) {
  for (const { name, value } of fresh.attributes) if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!KEPT.has(name) && name !== "style" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  if (old.matches("input[type=hidden]") && !ONCE.has(old.name) && old.value !== fresh.value) old.value = fresh.value;
}

function patchNode(old, fresh, still) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data === fresh.data) return false;
    if (isSelected(old)) return true;
    old.data = fresh.data;
    return false;
  }
  if (old.isEqualNode(fresh)) return false;
  if (inUse(old) || isOpen(old)) return true;
  patchAttributes(old, fresh);
  return patchChildren(old, fresh, still);
}

function patchChildren(old, fresh, still) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  const isSame = before.length === after.length && before.every((node, at) => kindOf(node) === kindOf(after[at]));
  if (isSame) return before.map((node, at) => patchNode(node, after[at], still)).some(Boolean);
  const known = new Map(before.filter(keyOf).map((node) => [kindOf(node), node]));
  if (still || before.some((node) => isSelected(node) || (node.contains(document.activeElement) && !keyOf(node)))) {
    for (const node of after) if (known.has(kindOf(node))) patchNode(known.get(kindOf(node)), node, still);
    return true;
  }
  return rearrange(old, before, after, known);
}

/* The children in the new order: those of the same kind stay the elements they were. */
function rearrange(old, before, after, known) {
  const unkeyed = before.filter((node) => !keyOf(node));
  let withheld = false;
  let place = old.firstChild;
  for (const node of after) {
    const at = unkeyed.findIndex((other) => other.nodeName === node.nodeName);
    const same = keyOf(node) ? known.get(kindOf(node)) : at < 0 ? undefined : unkeyed.splice(at, 1)[0];
    known.delete(kindOf(node));
    const element = same ?? document.importNode(node, true);
    if (same) withheld = patchNode(same, node, false) || withheld;
    if (element === place) place = place.nextSibling;
    else old.insertBefore(element, place);
  }
  for (const node of [...known.values(), ...unkeyed]) node.remove();
  return withheld;
}

export function patch(old, fresh, { still = false } = {}) {
  return patchNode(old, document.adoptNode(fresh), still);
}

/* Every reason why a signal cannot be approved: its title, the sentence, the numbers that decided, what to do. */

function part(kind, className, text) {
  const element = document.createElement(kind);
  element.className = className;
  element.textContent = text;
  return element;
}

function figures(pairs) {
  const line = part("span", "refusal-figures num", "");
  for (const [name, figure] of pairs) {
    const one = document.createElement("span");
    one.append(`${name} `, part("b", "", figure));
    line.append(one);
  }
  return line;
}

function itemOf(refusal) {
  const item = document.createElement("li");
  item.dataset.code = refusal.code;
  item.append(part("b", "refusal-code", refusal.title), ` ${refusal.message}`);
  if (refusal.figures.length) item.append(" ", figures(refusal.figures));
  if (refusal.what_to_do) item.append(" ", part("span", "refusal-way", refusal.what_to_do));
  return item;
}

/* Draws them into a list; one that shows the same already is left alone, so that a reader of the screen hears it once. */
export function drawRefusals(list, refusals) {
  const drawn = JSON.stringify(refusals);
  if (list.drawn === drawn) return;
  list.drawn = drawn;
  list.replaceChildren(...refusals.map(itemOf));
}

/* The desk's answer to a decision it did not take: every reason when it has several to give, else its sentence. */
export function showAnswer(element, answer) {
  if (!answer.refusals?.length) {
    element.textContent = answer.error;
    return;
  }
  const list = document.createElement("ul");
  list.className = "refusals";
  drawRefusals(list, answer.refusals);
  element.replaceChildren(list);
}

/* One open position written into the cells of its row or of its page: every element with data-f="field" under `root`.
 * The server's first picture (templates/positions/_open_row.html) and this module write the same things.
 */

import { age, flash } from "./positions_marks.js";
import { inR, money, pct, price, quantity, riskNote, setBadge, setMultiple, setSigned, setSignedPct, setText } from "./format.js";

const WORDS = { 1: "Long", [-1]: "Short" };

function side(element, direction) {
  if (element.firstElementChild?.dataset.side === String(direction)) return;
  const span = document.createElement("span");
  span.className = "side";
  span.dataset.side = String(direction);
  span.textContent = WORDS[direction] ?? "";
  element.replaceChildren(span);
}

function stateBadge(element, state, quiet) {
  setBadge(element, state);
  element.hidden = !state || quiet.includes(state);
}

const writers = {
  symbol: (element, row) => setText(element, row.symbol),
  side: (element, row) => side(element, row.direction),
  status: (element, row) => stateBadge(element, row.status, ["open"]),
  stop_state: (element, row) => stateBadge(element, row.stop_state, ["none"]),
  quantity: (element, row) => setText(element, quantity(row.quantity)),
  entry_price: (element, row) => setText(element, price(row.entry_price)),
  last: (element, row) => { flash(element, row.last); setText(element, price(row.last)); },
  last_at: (element, row) => age(element, row.last_at),
  unrealized_pnl: (element, row) => setSigned(element, row.unrealized_pnl),
  unrealized_pct: (element, row) => setSignedPct(element, row.unrealized_pct),
  realized_pnl: (element, row) => setSigned(element, row.realized_pnl),
  commission: (element, row) => setText(element, money(row.commission)),
  stop_loss: (element, row) => setText(element, price(row.stop_loss)),
  take_profit: (element, row) => setText(element, price(row.take_profit)),
  initial_stop: (element, row) => setText(element, price(row.initial_stop)),
  stop_distance_pct: (element, row) => setText(element, pct(row.stop_distance_pct, 2)),
  r_multiple: (element, row) => setMultiple(element, row.r_multiple),
  mfe: (element, row) => setText(element, money(row.mfe, 0)),
  mae: (element, row) => setText(element, money(row.mae, 0)),
  mfe_r: (element, row) => setText(element, inR(row.risk_taken ? row.mfe / row.risk_taken : null)),
  mae_r: (element, row) => setText(element, inR(row.risk_taken ? row.mae / row.risk_taken : null)),
  risk_amount: (element, row) => setText(element, money(row.risk_taken)),
  risk_taken: (element, row) => setText(element, riskNote(row)),
  open_time: (element, row) => age(element, row.open_time),
};

export function writePosition(root, row) {
  for (const element of root.querySelectorAll("[data-f]")) writers[element.dataset.f]?.(element, row);
}

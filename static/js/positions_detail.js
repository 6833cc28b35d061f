/* The page of one position: live figures, wishes with their outcomes, the state of its orders, and the chart. */

import { startChart } from "./chart_position.js";
import { feed } from "./feed.js";
import { badge, orderState, price, quantity, setBadge, setText } from "./format.js";
import { writePosition } from "./positions_cells.js";
import { followCommands } from "./positions_commands.js";
import { showExits } from "./positions_exits.js";
import { refreshDialog, startWishes } from "./positions_wishes.js";

const root = document.getElementById("position");
const id = root.dataset.row;
let row = JSON.parse(document.getElementById("position-row").textContent);
const wasOpen = row.status !== "closed";
const chart = startChart(document.querySelector("[data-position-chart]"), row);

function onRows(fresh) {
  const mine = fresh.find((candidate) => candidate.id === id);
  if (!mine) return;
  row = mine;
  if (row.status === "closed" && wasOpen) { location.reload(); return; } // another page: the result instead of live figures
  writePosition(root, row);
  showExits(root.querySelector("[data-exits]"), row);
  setBadge(document.querySelector('[data-head="status"]'), row.status);
  chart.follow(row);
  refreshDialog();
}

function onOrders(fresh) {
  for (const order of fresh) {
    const element = root.querySelector(`tr[data-order="${CSS.escape(order.id)}"]`);
    if (!element) continue;
    setText(element.querySelector('[data-o="price"]'), price(order.stop_price ?? order.limit_price));
    setText(element.querySelector('[data-o="filled"]'), quantity(order.filled_quantity));
    setText(element.querySelector('[data-o="average"]'), price(order.average_price));
    element.querySelector('[data-o="state"]').replaceChildren(badge(order.state, orderState(order)));
  }
}

const onCommands = (fresh) => followCommands(fresh.filter((command) => command.position_id === id));

if (wasOpen) {
  feed.join("positions", onRows, { snapshot: true });
  feed.join("orders", onOrders, { snapshot: false });
  startWishes({ positionOf: () => row, rootOf: (position) => (position === id ? root : null) });
  feed.join("commands", onCommands, { snapshot: false });
  // The button in the page head stands outside the row.
  document.querySelector(".page-head [data-close]")?.setAttribute("data-row", id);
}

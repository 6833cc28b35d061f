/* The P&L page: starts its two charts and keeps the open P&L live. */

import { feed } from "./feed.js";
import { setSigned } from "./format.js";
import { startDaily } from "./pnl_daily.js";
import { startEquity } from "./pnl_equity.js";

const equity = startEquity(document.querySelector("[data-equity-chart]"));
const daily = document.querySelector("[data-daily-chart]");
if (daily) startDaily(daily, JSON.parse(document.getElementById("daily-data").textContent));

feed.join("equity", (rows) => {
  const newest = rows.at(-1);
  if (!newest) return;
  setSigned(document.querySelector("[data-open-pnl]"), newest.unrealized_pnl);
  equity.follow(newest);
}, { snapshot: true });

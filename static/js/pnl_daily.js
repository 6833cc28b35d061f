/* Daily bars of realized P&L: above zero or below it, in the page's profit colours. A click opens the trades closed that day. */

import { colours, frameOptions, makeChart, onTheme, setState } from "./chart_base.js";

export function startDaily(box, data) {
  const library = window.LightweightCharts;
  const chart = makeChart(box.querySelector(".chart-canvas"), { timeVisible: false });
  const series = chart.addSeries(library.HistogramSeries, { base: 0, priceLineVisible: false, lastValueVisible: false });
  onTheme(() => {
    const shade = colours();
    chart.applyOptions(frameOptions(shade));
    series.setData(data.bars.map(([time, value]) => ({ time, value, color: value < 0 ? shade.down : shade.up })));
  });
  chart.timeScale().fitContent();
  // A handful of days must not become slabs.
  if (data.bars.length < 24) chart.timeScale().setVisibleLogicalRange({ from: data.bars.length - 24, to: data.bars.length });
  const closing = new Set(data.bars.filter(([, , count]) => count).map(([day]) => day));
  if (data.unit === "day") chart.subscribeClick((event) => { if (event.time) openDay(dayOf(event.time), closing); });
  setState(box, "ready");
}

function dayOf(time) {
  return typeof time === "string" ? time : `${time.year}-${String(time.month).padStart(2, "0")}-${String(time.day).padStart(2, "0")}`;
}

/* A day on which trades were only opened or sold in part has nothing to list. */
function openDay(day, closing) {
  if (closing.has(day)) location.assign(`/positions/?first=${day}&last=${day}#closed`);
}

/* Equity today as one line over its starting value: above it in the colour of gain, below in that of loss. */

import { chartTime, colours, faded, fetchJson, frameOptions, makeChart, onTheme, rising } from "./chart_base.js";
import { money, zone } from "./format.js";

const RELOAD_MS = 10 * 60 * 1000; // read again now and then: the line stays thinned, and midnight begins a new one

export function startEquityChart(place, note) {
  const chart = makeChart(place);
  const series = chart.addSeries(window.LightweightCharts.BaselineSeries, { lineWidth: 2, priceLineVisible: false });
  let base = null;
  let newest = 0;
  let early = null;
  let loaded = false;

  function paint() {
    const shade = colours();
    const frame = frameOptions(shade);
    chart.applyOptions({
      ...frame,
      grid: { vertLines: { visible: false }, horzLines: { color: shade.grid } },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.1 } },
      localization: { priceFormatter: (value) => money(value, 0) },
    });
    series.applyOptions({
      baseValue: { type: "price", price: base ?? 0 },
      topLineColor: shade.up, topFillColor1: faded(shade.up, 0.26), topFillColor2: faded(shade.up, 0.03),
      bottomLineColor: shade.down, bottomFillColor1: faded(shade.down, 0.03), bottomFillColor2: faded(shade.down, 0.26),
    });
  }

  function sentence(body) {
    if (!body.points.length) return "The line begins with the worker's first equity point.";
    if (!body.today) return `Nothing today yet. Shown: ${body.day}.`;
    return `Measured from ${money(base)} at the start of the day; times are ${zone(new Date())}.`;
  }

  async function load() {
    let body;
    try { body = await fetchJson(place.dataset.url); } catch (error) { note.textContent = error.message; return; }
    base = body.base;
    newest = body.points.at(-1)?.[0] ?? 0;
    series.setData(rising(body.points.map(([at, value]) => ({ time: chartTime(at), value }))));
    note.textContent = sentence(body);
    paint();
    if (body.points.length > 1) chart.timeScale().fitContent();
    loaded = true;
    if (early) add(early);
    early = null;
  }

  function add(point) {
    if (!loaded) { early = point; return; }
    const at = Math.floor(Date.parse(point.at) / 1000);
    if (!(at > newest) || !Number.isFinite(point.equity)) return;
    const isFirst = newest === 0;
    newest = at;
    if (isFirst) load(); else series.update({ time: chartTime(at), value: point.equity });
  }

  onTheme(paint);
  load();
  setInterval(() => { if (!document.hidden) load(); }, RELOAD_MS);
  return { add };
}

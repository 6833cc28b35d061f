/* Equity today as one line over its starting value: above it in the colour of gain, below in that of loss. */

import { fetchJson, sentence } from "./answers.js";
import { chartTime, colours, faded, frameOptions, makeChart, onTheme, rising } from "./chart_base.js";
import { money, zone } from "./format.js";

const RELOAD_MS = 10 * 60 * 1000; // read again now and then: the line stays thinned, and midnight begins a new one
const STEPS = [5, 15, 60, 300]; // seconds between points; the chart spaces points evenly, so all stand on one grid
const MOST_POINTS = 2000;
const LEAST_SPAN = 4; // dollars the axis covers at least: a quiet minute is a flat line, not a mountain range

export function startEquityChart(place, note) {
  const chart = makeChart(place);
  const series = chart.addSeries(window.LightweightCharts.BaselineSeries, { lineWidth: 2, priceLineVisible: false });
  let base = null;
  let stored = []; // [epoch seconds, equity] of today, oldest first
  let live = []; // the same, heard since the page was opened
  let step = STEPS[0];
  let early = null;
  let loaded = false;

  const onGrid = (at) => Math.floor(at / step) * step;

  function paint() {
    const shade = colours();
    const frame = frameOptions(shade);
    chart.applyOptions({
      ...frame,
      grid: { vertLines: { visible: false }, horzLines: { color: shade.grid } },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.1 } },
      localization: { priceFormatter: (value) => money(value, range() < 50 ? 2 : 0) },
    });
    series.applyOptions({
      baseValue: { type: "price", price: base ?? 0 },
      topLineColor: shade.up, topFillColor1: faded(shade.up, 0.26), topFillColor2: faded(shade.up, 0.03),
      bottomLineColor: shade.down, bottomFillColor1: faded(shade.down, 0.03), bottomFillColor2: faded(shade.down, 0.26),
    });
  }

  function chartNote(body) {
    if (!body.points.length) return "The line begins with the worker's first equity point.";
    if (!body.today) return `Nothing today yet. Shown: ${body.day}.`;
    return `Measured from ${money(base)} at the start of the day; times are ${zone(new Date())}.`;
  }

  /* All points on the finest grid that is not too long. Slots without a point stay empty: the line crosses them. */
  function draw() {
    const points = [...stored, ...live].sort((a, b) => a[0] - b[0]);
    if (!points.length) return;
    const span = points.at(-1)[0] - points[0][0];
    step = STEPS.find((seconds) => span / seconds <= MOST_POINTS) ?? STEPS.at(-1);
    const slots = new Map(points.map(([at, value]) => [onGrid(at), value]));
    const line = [];
    for (let at = onGrid(points[0][0]); at <= points.at(-1)[0]; at += step) line.push(slots.has(at) ? { time: chartTime(at), value: slots.get(at) } : { time: chartTime(at) });
    series.setData(rising(line));
    if (points.length > 1) chart.timeScale().fitContent();
  }

  async function load() {
    let body;
    try { body = await fetchJson(place.dataset.url); } catch (error) { note.textContent = sentence(error); return; }
    base = body.base;
    stored = body.points;
    live = live.filter(([at]) => at >= (stored[0]?.[0] ?? 0));
    note.textContent = chartNote(body);
    paint();
    draw();
    loaded = true;
    if (early) add(early);
    early = null;
  }

  function add(point) {
    if (!loaded) { early = point; return; }
    const at = Math.floor(Date.parse(point.at) / 1000);
    const newest = live.at(-1)?.[0] ?? stored.at(-1)?.[0] ?? 0;
    if (!(at >= newest) || !Number.isFinite(point.equity)) return;
    const isNext = newest > 0 && onGrid(at) - onGrid(newest) <= step;
    if (live.length && onGrid(newest) === onGrid(at)) live.pop();
    live.push([at, point.equity]);
    if (newest === 0) load();
    else if (isNext) series.update({ time: chartTime(onGrid(at)), value: point.equity });
    else draw(); // the tab slept: the slots between are missing
  }

  series.applyOptions({
    priceFormat: { type: "price", precision: 2, minMove: 0.01 },
    autoscaleInfoProvider: (original) => {
      const found = original();
      if (!found?.priceRange) return found;
      const { minValue, maxValue } = found.priceRange;
      const missing = Math.max(0, LEAST_SPAN - (maxValue - minValue)) / 2;
      return { ...found, priceRange: { minValue: minValue - missing, maxValue: maxValue + missing } };
    },
  });

  /* Cents where the whole axis spans little, or every label would read the same. */
  function range() {
    const shown = series.priceScale().getVisibleRange?.();
    return shown ? Math.abs(shown.to - shown.from) : 0;
  }

  onTheme(paint);
  load();
  setInterval(() => { if (!document.hidden) load(); }, RELOAD_MS);
  return { add };
}

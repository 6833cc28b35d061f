/* Equity today as one line over its starting value: above it in the colour of gain, below in that of loss. */

import { chartColours, faded, onColours, token } from "./chart-colours.js";
import { et, money, zone } from "./format.js";

const EASTERN = "America/New_York";
const clock = new Intl.DateTimeFormat("en-US", { timeZone: EASTERN, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const RELOAD_MS = 10 * 60 * 1000; // the line is read again now and then: a day's worth of live points is too many to keep

export function startEquityChart(place, note) {
  const library = window.LightweightCharts;
  const chart = library.createChart(place, {
    autoSize: true,
    ...options(),
    localization: { priceFormatter: (value) => money(value, 0), timeFormatter: (time) => et(new Date(time * 1000).toISOString()) },
  });
  const series = chart.addSeries(library.BaselineSeries, { lineWidth: 2, priceLineVisible: false, lastValueVisible: true });
  let base = null;
  let newest = 0;
  let loaded = false;
  let early = null;

  function options() {
    const colours = chartColours();
    return {
      ...colours,
      rightPriceScale: { ...colours.rightPriceScale, borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.1 } },
      timeScale: { ...colours.timeScale, timeVisible: true, secondsVisible: false, rightOffset: 2, tickMarkFormatter: (time) => clock.format(new Date(time * 1000)) },
      handleScroll: { vertTouchDrag: false },
      crosshair: { horzLine: { visible: false, labelVisible: false } },
    };
  }

  function paint() {
    chart.applyOptions(options());
    series.applyOptions({
      ...(base === null ? {} : { baseValue: { type: "price", price: base } }),
      topLineColor: token("--up"), topFillColor1: faded("--up", 0.24), topFillColor2: faded("--up", 0.02),
      bottomLineColor: token("--down"), bottomFillColor1: faded("--down", 0.02), bottomFillColor2: faded("--down", 0.24),
    });
  }

  async function load() {
    let body;
    try {
      const answer = await fetch(place.dataset.url, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (!answer.ok) return;
      body = await answer.json();
    } catch { return; }
    base = body.base;
    newest = body.points.at(-1)?.[0] ?? 0;
    series.setData(body.points.map(([time, value]) => ({ time, value })));
    note.textContent = body.points.length
      ? body.today ? `Eastern time (${zone(new Date())}); the line is measured from ${money(base)} at the start of the day.` : `Nothing today yet. Shown: ${body.day}.`
      : "The line begins with the worker's first equity point.";
    paint();
    if (body.points.length > 1) chart.timeScale().fitContent();
    loaded = true;
    if (early) add(early);
    early = null;
  }

  function add(point) {
    if (!loaded) { early = point; return; }
    const time = Math.floor(Date.parse(point.at) / 1000);
    if (!(time >= newest) || !Number.isFinite(point.equity)) return;
    if (newest === 0) { load(); newest = time; return; }
    newest = time;
    series.update({ time, value: point.equity });
  }

  paint();
  onColours(paint);
  load();
  setInterval(() => { if (!document.hidden) load(); }, RELOAD_MS);
  return { add };
}

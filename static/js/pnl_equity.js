/* The equity curve: green above where the range began and red below, its drawdown in a pane of its own (3 to 1, amber),
 * and a live tail. Columns come from /pnl/equity.json; what it shows is also written as a sentence under the chart.
 */

import { fetchJson, sentence } from "./answers.js";
import { chartTime, colours, faded, frameOptions, makeChart, moneyText, onTheme, rising, setState } from "./chart_base.js";
import { rounded } from "./decimals.js";
import { et, pct, setText } from "./format.js";

const LIVE_STEPS = 1500; // the curve's own number of points, about

export function startEquity(box) {
  const chart = new EquityChart(box);
  chart.load();
  return chart;
}

class EquityChart {
  constructor(box) {
    this.box = box;
    this.newest = null; // the last live row heard before the curve was there
    this.ready = false;
  }

  async load() {
    try {
      const data = await fetchJson(this.box.dataset.source);
      if (!data.at.length) { this.showEmpty(); return; }
      this.draw(data);
      setState(this.box, "ready");
      this.describe(data);
      if (this.newest) this.follow(this.newest);
    } catch (error) {
      setState(this.box, "failed", sentence(error));
      setText(document.getElementById("equity-summary"), "");
    }
  }

  showEmpty() {
    setState(this.box, "empty");
    setText(document.getElementById("equity-summary"), "");
  }

  draw(data) {
    const library = window.LightweightCharts;
    this.chart = makeChart(this.box.querySelector(".chart-canvas"));
    const points = rising(data.at.map((at, index) => ({ time: chartTime(at), value: data.equity[index] })));
    this.base = points[0].value;
    this.peak = -Infinity;
    this.flows = data.flows.map(([at, amount]) => ({ time: chartTime(at), amount }));
    const falls = points.map(({ time, value }) => ({ time, value: this.fall(time, value) }));
    this.curve = this.chart.addSeries(library.BaselineSeries, { baseValue: { type: "price", price: this.base }, lineWidth: 2, priceLineVisible: true, priceLineStyle: library.LineStyle.Dotted });
    this.curve.setData(points);
    this.markFlows(library, points);
    this.drawdown = this.chart.addSeries(library.BaselineSeries, { baseValue: { type: "price", price: 0 }, lineWidth: 1, priceLineVisible: false }, 1);
    this.drawdown.setData(falls);
    const [upper, lower] = this.chart.panes();
    upper.setStretchFactor(3);
    lower.setStretchFactor(1);
    this.last = points[points.length - 1].time;
    this.step = Math.max(1, (this.last - points[0].time) / LIVE_STEPS);
    onTheme(() => this.paint());
    this.chart.timeScale().fitContent();
    this.ready = true;
  }

  /* Below the highest so far; what was paid in or out is no rise and no fall. */
  fall(time, value) {
    const own = value - this.flows.reduce((sum, flow) => sum + (flow.time <= time ? flow.amount : 0), 0);
    this.peak = Math.max(this.peak, own);
    return rounded(own - this.peak, 2);
  }

  /* An arrow where cash came in or went out, at the first point after it. */
  markFlows(library, points) {
    const markers = this.flows.flatMap(({ time, amount }) => {
      const point = points.find((each) => each.time >= time);
      const into = amount > 0;
      return point ? [{ time: point.time, position: into ? "belowBar" : "aboveBar", shape: into ? "arrowUp" : "arrowDown", color: colours().amber, text: `${into ? "paid in" : "paid out"} ${moneyText(Math.abs(amount))}` }] : [];
    });
    if (markers.length) library.createSeriesMarkers(this.curve, markers);
  }

  paint() {
    const shade = colours();
    this.chart.applyOptions(frameOptions(shade));
    this.curve.applyOptions({
      topLineColor: shade.up, topFillColor1: faded(shade.up, 0.26), topFillColor2: faded(shade.up, 0.03),
      bottomLineColor: shade.down, bottomFillColor1: faded(shade.down, 0.03), bottomFillColor2: faded(shade.down, 0.26),
    });
    this.drawdown.applyOptions({
      topLineColor: shade.amber, topFillColor1: "transparent", topFillColor2: "transparent",
      bottomLineColor: shade.amber, bottomFillColor1: faded(shade.amber, 0.05), bottomFillColor2: faded(shade.amber, 0.35),
    });
  }

  /* The same picture in words, for those who cannot see it and for the figure strip. */
  describe(data) {
    const first = data.equity[0];
    const last = data.equity.at(-1);
    const sign = last > first ? "+" : "";
    const found = data.drawdown;
    const iso = (epoch) => new Date(epoch * 1000).toISOString();
    const ends = [data.at[0], data.at.at(-1)].map(iso);
    const shape = et(ends[0], "day") === et(ends[1], "day") ? "minute" : "day";
    const span = ({ peak_at, trough_at }) => `from ${et(iso(peak_at), shape)} to ${et(iso(trough_at), shape)}`;
    const fell = found && found.percent.size < 0 ? ` Deepest drawdown ${pct(found.percent.size, 2)}, ${span(found.percent)}; deepest fall in money ${moneyText(found.money.size)}, ${span(found.money)}.` : " No drawdown.";
    const paid = data.flows.reduce((sum, [, amount]) => sum + amount, 0);
    const own = data.flows.length && data.return !== null ? ` Of that ${paid > 0 ? "+" : ""}${moneyText(paid)} was paid in or out; the return without it is ${data.return > 0 ? "+" : ""}${pct(data.return, 2)}.` : "";
    setText(document.getElementById("equity-summary"), `Equity went from ${moneyText(first)} to ${moneyText(last)} USD (${sign}${moneyText(last - first)}, ${sign}${pct((last - first) / first, 2)}) between ${et(ends[0], shape)} and ${et(ends[1], shape)}.${own}${fell}`);
    const figure = document.querySelector("[data-drawdown]");
    setText(figure, found ? pct(found.percent.size, 2) : "–");
    figure.classList.remove("waiting");
    if (found) setText(document.querySelector("[data-drawdown-note]"), `deepest fall in money ${moneyText(found.money.size)}`);
  }

  follow(row) {
    this.newest = row;
    if (!this.ready || typeof row.equity !== "number") return;
    const time = chartTime(Date.parse(row.at) / 1000);
    if (!Number.isFinite(time) || time < this.last) return;
    // The tail moves in steps of the curve: a point for every frame would squeeze the past.
    if (time - this.last >= this.step) this.last = time;
    const value = rounded(row.equity, 2);
    this.curve.update({ time: this.last, value });
    this.drawdown.update({ time: this.last, value: this.fall(this.last, value) });
  }
}

/* The candle chart of one position: stored bars, markers of signal and fills, entry, stop and target as price lines that
 * move with the position, and a last candle that follows the live price.
 */

import { fetchJson, sentence } from "./answers.js";
import { chartTime, colours, frameOptions, makeChart, onTheme, rising, setState } from "./chart_base.js";
import { feed } from "./feed.js";
import { price, quantity } from "./format.js";

export function startChart(box, row) {
  const chart = new PositionChart(box, row);
  chart.load();
  return chart;
}

class PositionChart {
  constructor(box, row) {
    this.box = box;
    this.row = row;
    this.lines = {}; // entry | stop | target -> price line
    this.last = null; // the candle that still moves
    this.ready = false;
  }

  async load() {
    try {
      const data = await fetchJson(this.box.dataset.source);
      if (!data.bars.length) { setState(this.box, "empty"); return; }
      this.draw(data);
      setState(this.box, "ready");
      if (data.open) feed.join("bars", (rows) => rows.filter((bar) => bar.symbol === data.symbol).forEach((bar) => this.onBar(bar)), { snapshot: false });
    } catch (error) {
      setState(this.box, "failed", sentence(error));
    }
  }

  draw(data) {
    const library = window.LightweightCharts;
    this.step = data.step;
    this.chart = makeChart(this.box.querySelector(".chart-canvas"));
    this.volume = this.chart.addSeries(library.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
    this.candles = this.chart.addSeries(library.CandlestickSeries, { priceLineVisible: false, autoscaleInfoProvider: (own) => this.scale(own()) });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.18 } });
    const bars = rising(data.bars.map(([at, open, high, low, close, volume]) => ({ time: chartTime(at), open, high, low, close, volume })));
    this.candles.setData(bars);
    this.volume.setData(bars.map(({ time, volume }) => ({ time, value: volume })));
    this.last = bars[bars.length - 1];
    this.markers = data.markers;
    this.marks = library.createSeriesMarkers(this.candles, []);
    this.first = bars[0].time;
    this.ready = true;
    onTheme(() => this.paint());
    this.setLevels(data.entry, data.stop, data.target);
    this.note(bars.length);
    this.focus(data, bars);
  }

  /* Days of one-minute bars would be a wall: begin with the life of the position. */
  focus(data, bars) {
    const visible = 240;
    if (bars.length <= visible) { this.chart.timeScale().fitContent(); return; }
    const from = data.open ? bars.length - visible : 0;
    this.chart.timeScale().setVisibleLogicalRange({ from, to: data.open ? bars.length + 3 : Math.min(bars.length + 3, from + Math.max(visible, bars.length)) });
  }

  paint() {
    const shade = colours();
    this.chart.applyOptions(frameOptions(shade));
    this.candles.applyOptions({ upColor: shade.up, downColor: shade.down, borderUpColor: shade.up, borderDownColor: shade.down, wickUpColor: shade.up, wickDownColor: shade.down });
    this.volume.applyOptions({ color: shade.grid });
    this.marks.setMarkers(this.markers.map((mark) => this.markOf(mark, shade)).sort((a, b) => a.time - b.time));
    for (const [name, line] of Object.entries(this.lines)) line.applyOptions({ color: this.lineColour(name, shade) });
  }

  markOf(mark, shade) {
    const time = Math.max(this.first, chartTime(Math.floor(mark.at / this.step) * this.step));
    if (mark.kind === "signal") return { time, position: "aboveBar", shape: "circle", color: shade.info, text: "Signal" };
    const isBuy = mark.side === "buy";
    const text = `${isBuy ? "Buy" : "Sell"} ${quantity(mark.quantity)} @ ${price(mark.price)}`;
    return { time, position: isBuy ? "belowBar" : "aboveBar", shape: isBuy ? "arrowUp" : "arrowDown", color: shade.accent, text };
  }

  lineColour(name, shade) {
    return { entry: shade.muted, stop: shade.down, target: shade.up }[name];
  }

  setLevels(entry, stop, target) {
    const shade = colours();
    for (const [name, value] of Object.entries({ entry, stop, target })) {
      if (value === null || value === undefined) {
        if (this.lines[name]) { this.candles.removePriceLine(this.lines[name]); delete this.lines[name]; }
      } else if (this.lines[name]) this.lines[name].applyOptions({ price: value });
      else {
        const style = name === "entry" ? window.LightweightCharts.LineStyle.Dotted : window.LightweightCharts.LineStyle.Dashed;
        this.lines[name] = this.candles.createPriceLine({ price: value, color: this.lineColour(name, shade), lineWidth: 1, lineStyle: style, axisLabelVisible: true, title: name[0].toUpperCase() + name.slice(1) });
      }
    }
  }

  /* Stop and target belong in the picture, unless they are so far off that they would flatten the candles. */
  scale(info) {
    if (!info?.priceRange) return info;
    const { minValue, maxValue } = info.priceRange;
    const reach = 2 * (maxValue - minValue);
    const levels = Object.values(this.lines).map((line) => line.options().price).filter((value) => value > minValue - reach && value < maxValue + reach);
    return { ...info, priceRange: { minValue: Math.min(minValue, ...levels), maxValue: Math.max(maxValue, ...levels) } };
  }

  note(count) {
    const words = { 60: "1 min", 300: "5 min", 900: "15 min", 3600: "1 h", 14400: "4 h", 86400: "1 d" };
    const note = document.querySelector("[data-chart-note]");
    if (note) note.textContent = `${words[this.step] ?? `${this.step} s`} bars, ${count} shown · US Eastern`;
  }

  /* A completed minute from the worker replaces what ticks drew. */
  onBar(bar) {
    if (!this.ready) return;
    this.merge(Date.parse(bar.at ?? bar.start) / 1000, bar);
  }

  follow(row) {
    this.row = row;
    if (!this.ready) return;
    this.setLevels(row.entry_price, row.stop_loss, row.take_profit);
    if (typeof row.last === "number" && row.last_at) this.merge(Date.parse(row.last_at) / 1000, { open: row.last, high: row.last, low: row.last, close: row.last });
  }

  merge(at, bar) {
    const time = chartTime(Math.floor(at / this.step) * this.step);
    if (!Number.isFinite(time) || time < this.last.time) return;
    this.last = time === this.last.time
      ? { time, open: this.last.open, high: Math.max(this.last.high, bar.high), low: Math.min(this.last.low, bar.low), close: bar.close }
      : { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close };
    this.candles.update(this.last);
  }
}

/* The option-flow panel of a signal's page: recent prints and the divergence chart, fetched anew while somebody looks.
 * The server asks for fresh rows when it is asked; a hidden tab asks for nothing, so nothing is fetched for it.
 */

import { fetchJson, sentence } from "./answers.js";
import { chartTime, colours, makeChart, onTheme, rising, setState } from "./chart_base.js";
import { et, money, price, quantity, setText, timeElement } from "./format.js";

const WAITING_MS = 3000;
const READY_MS = 10_000;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });

function startFlow(panel) {
  const box = panel.querySelector("[data-flow-chart]");
  const chart = { lines: null };

  async function refresh() {
    let wait = READY_MS;
    if (!document.hidden) {
      try {
        const flow = await fetchJson(panel.dataset.flow);
        show(panel, flow);
        draw(chart, box, flow);
        if (flow.state === "loading") wait = WAITING_MS;
      } catch (error) {
        const why = sentence(error);
        say(panel, why);
        if (!chart.lines) setState(box, "failed", why);
      }
    }
    setTimeout(refresh, wait);
  }
  refresh();
}

function say(panel, text) {
  const note = panel.querySelector("[data-flow-note]");
  setText(note, text);
  note.hidden = !text;
}

/* --- prints ---------------------------------------------------------------------------------------------------------- */

function show(panel, flow) {
  panel.dataset.state = flow.state;
  say(panel, flow.note);
  const age = panel.querySelector("[data-flow-age]");
  if (flow.newest) age.replaceChildren(timeElement(flow.newest, { age: true }), " old");
  else setText(age, "–");
  panel.querySelector("[data-flow-prints]").hidden = !flow.prints.length;
  panel.querySelector("tbody").replaceChildren(...flow.prints.map(printRow));
  const empty = panel.querySelector("[data-flow-empty]");
  empty.hidden = flow.prints.length > 0;
  setText(empty, flow.state === "loading" ? "Asking for recent option prints…" : "No option prints are stored for this ticker.");
}

function printRow(print) {
  const row = document.createElement("tr");
  row.dataset.print = print.id;
  const contract = print.right ? `${price(print.strike)} ${print.right}` : print.symbol || "–";
  const expires = print.expiry ? day.format(new Date(print.expiry)) : "–";
  row.append(
    cell("cell-title", "", contract), cell("", "Expires", expires), cell("num", "Contracts", quantity(print.size)), cell("num", "Price", price(print.price)),
    cell("num", "Value", money(print.value, 0)), cell("", "Traded", print.where || "–"), cell("num", "Time", et(print.at)),
  );
  return row;
}

function cell(name, label, text) {
  const element = document.createElement("td");
  if (name) element.className = name;
  if (label) element.dataset.label = label;
  element.textContent = text;
  return element;
}

/* --- divergence ------------------------------------------------------------------------------------------------------ */

function draw(chart, box, flow) {
  if (!flow.points.length) {
    setState(box, flow.state === "loading" ? "loading" : "empty");
    return;
  }
  if (!chart.lines) build(chart, box);
  const series = (index) => rising(flow.points.filter((point) => isNumber(point[index])).map((point) => ({ time: chartTime(point[0]), value: point[index] })));
  const [stock, short, long] = [series(1), series(2), series(3)];
  chart.lines.stock.setData(stock);
  chart.lines.short.setData(short);
  chart.lines.long.setData(long);
  setState(box, "ready");
  if (!chart.fitted) chart.chart.timeScale().fitContent();
  chart.fitted = true;
}

function build(chart, box) {
  const { LineSeries } = window.LightweightCharts;
  chart.chart = makeChart(box.querySelector(".chart-canvas"));
  const quiet = { lineWidth: 2, priceLineVisible: false, crosshairMarkerVisible: false };
  const plain = { type: "custom", minMove: 0.001, formatter: (value) => value.toFixed(2) };
  chart.lines = {
    stock: chart.chart.addSeries(LineSeries, { ...quiet, lineWidth: 1, priceScaleId: "left" }),
    short: chart.chart.addSeries(LineSeries, { ...quiet, title: "short", priceFormat: plain }),
    long: chart.chart.addSeries(LineSeries, { ...quiet, title: "long", lineStyle: 2, priceFormat: plain }),
  };
  chart.lines.short.createPriceLine({ price: 0, lineWidth: 1, lineStyle: 3, axisLabelVisible: false, color: colours().muted });
  onTheme(() => {
    const shade = colours();
    chart.chart.applyOptions({ layout: { textColor: shade.muted }, grid: { vertLines: { color: shade.grid }, horzLines: { color: shade.grid } }, leftPriceScale: { visible: true, borderColor: shade.line }, rightPriceScale: { borderColor: shade.line } });
    chart.lines.stock.applyOptions({ color: shade.muted });
    chart.lines.short.applyOptions({ color: shade.accent });
    chart.lines.long.applyOptions({ color: shade.amber });
  });
}

const panel = document.querySelector("[data-flow]");
if (panel) startFlow(panel);

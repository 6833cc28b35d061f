/* What all charts share: creation, the page's colours (also after a theme switch), exchange time, progress and empty states.
 *
 * The library (lightweight-charts, window.LightweightCharts) draws times as UTC. Charts show exchange time, so every
 * time is shifted by the exchange's offset at that moment before it goes in; `shifted` keeps a series strictly rising
 * where the clocks go back.
 */

const EASTERN = "America/New_York";
const wall = new Intl.DateTimeFormat("en-US", { timeZone: EASTERN, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
const offsets = new Map(); // hour since the epoch -> seconds between UTC and the exchange's clocks

function offsetAt(epoch) {
  const hour = Math.floor(epoch / 3600);
  if (!offsets.has(hour)) {
    const part = Object.fromEntries(wall.formatToParts(new Date(hour * 3600000)).map(({ type, value }) => [type, Number(value)]));
    offsets.set(hour, Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) / 1000 - hour * 3600);
  }
  return offsets.get(hour);
}

/* Epoch seconds as the chart's time. */
export const chartTime = (epoch) => Math.floor(epoch) + offsetAt(epoch);

/* Points [{time, ...}] with strictly rising times: a repeated or earlier time (clocks back) is left out. */
export function rising(points) {
  let last = -Infinity;
  return points.filter((point) => point.time > last && ((last = point.time), true));
}

/* The colours of the page now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    text: of("--text-2"), muted: of("--muted"), grid: of("--chart-grid"), line: of("--line"), surface: of("--surface"), accent: of("--accent"),
    up: of("--up"), down: of("--down"), amber: of("--warn"), info: of("--info"),
  };
}

/* A colour with less opacity, as the canvas wants it. */
const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
export function faded(colour, alpha) {
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

export function frameOptions(shade) {
  return {
    layout: { background: { type: "solid", color: "transparent" }, textColor: shade.muted, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, attributionLogo: true, panes: { separatorColor: shade.line, separatorHoverColor: shade.line, enableResize: false } },
    grid: { vertLines: { color: shade.grid }, horzLines: { color: shade.grid } },
    rightPriceScale: { borderColor: shade.line },
    timeScale: { borderColor: shade.line },
    crosshair: { vertLine: { color: shade.muted, labelBackgroundColor: shade.accent }, horzLine: { color: shade.muted, labelBackgroundColor: shade.accent } },
  };
}

const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const moneyText = (value) => (value < 0 ? `\u2212${money.format(-value)}` : money.format(value));

export function makeChart(element, { seconds = false, timeVisible = true } = {}) {
  return window.LightweightCharts.createChart(element, {
    ...frameOptions(colours()),
    autoSize: true,
    localization: { priceFormatter: moneyText, locale: "en-US" },
    handleScroll: { vertTouchDrag: false, mouseWheel: false },
    handleScale: { mouseWheel: false },
    timeScale: { borderColor: colours().line, timeVisible, secondsVisible: seconds, rightOffset: 2, minBarSpacing: 0.05 },
  });
}

/* Calls `paint` now and at every change of theme or profit colours. */
export function onTheme(paint) {
  paint();
  document.documentElement.addEventListener("desk:theme", () => requestAnimationFrame(paint));
}

/* loading | ready | empty | failed, shown by CSS over the chart. */
export function setState(box, state, message = "") {
  box.dataset.state = state;
  const note = box.querySelector(".chart-empty");
  note.hidden = state !== "empty" && state !== "failed";
  if (message) note.textContent = message;
}

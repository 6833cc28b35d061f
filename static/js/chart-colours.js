/* The design tokens as a chart needs them: plain colour text, read anew when theme or profit colours change. */

const root = document.documentElement;

export function token(name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

/* Token colour with an alpha, as rgba text (a canvas does not resolve color-mix in every browser). */
export function faded(name, alpha) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = token(name);
  const hex = probe.fillStyle;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

export function chartColours() {
  return {
    layout: { background: { color: token("--surface") }, textColor: token("--muted"), fontFamily: token("--font"), fontSize: 11 },
    grid: { vertLines: { visible: false }, horzLines: { color: token("--chart-grid") } },
    rightPriceScale: { borderColor: token("--line-soft") },
    timeScale: { borderColor: token("--line-soft") },
  };
}

export function onColours(paint) {
  root.addEventListener("desk:theme", () => requestAnimationFrame(paint));
}

/* Applies the chosen theme and profit colours before the first paint. Classic script, loaded in <head>. */
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = (name, fallback) => {
    try { return localStorage.getItem(name) || fallback; } catch { return fallback; }
  };
  const apply = () => {
    const theme = stored("desk.theme", "auto");
    root.dataset.bsTheme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
    root.dataset.themeChoice = theme;
    root.dataset.pnl = stored("desk.pnl", "green");
    root.dispatchEvent(new CustomEvent("desk:theme"));
  };
  window.deskAppearance = (name, value) => {
    try { localStorage.setItem(name, value); } catch { /* private mode: holds for this page only */ }
    apply();
  };
  dark.addEventListener("change", apply);
  apply();
})();

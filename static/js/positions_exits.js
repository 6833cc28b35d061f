/* The exit-rules card of one position: what is armed and what was done, kept true as frames arrive. */

import { price, setText } from "./format.js";

const at = (iso) => new Date(iso).toLocaleString();

function trail(rule) {
  if (!rule) return "Off";
  const unit = rule.kind === "percent" ? "%" : "× ATR (one-minute bars)";
  const away = rule.distance ? `, ${price(rule.distance)} from the best price ${price(rule.best)}` : "";
  return `Armed: ${rule.value} ${unit}${away}${rule.moves ? `, moved ${rule.moves}×` : ""}`;
}

function time(rules) {
  if (rules.time_stop_at) return `Carried out ${at(rules.time_stop_at)}`;
  const parts = [];
  if (rules.close_after_minutes) parts.push(`${rules.close_after_minutes} min after opening`);
  if (rules.close_at_session_end) parts.push("at the session's end");
  return parts.length ? `Armed: ${parts.join(", or ")}` : "Off";
}

function target(one) {
  const state = one.done_at ? " (taken)" : one.intent_id ? " (sent)" : one.tries >= 3 ? " (refused)" : "";
  return `${one.percent} % at ${one.at_r} R${state}`;
}

export function showExits(card, row) {
  const rules = row.exit_rules;
  if (!card || !rules) return;
  const part = (name) => card.querySelector(`[data-exit="${name}"]`);
  setText(part("trail"), trail(rules.trail));
  setText(part("break_even"), rules.break_even_at ? `Done ${at(rules.break_even_at)}` : rules.break_even_r ? `Armed at ${rules.break_even_r} R` : "Off");
  setText(part("time"), time(rules));
  setText(part("targets"), rules.targets.map(target).join(" · ") || "none set");
  const turned = part("reverse");
  if (turned && rules.reverse?.outcome) { setText(turned, `Reverse: ${rules.reverse.outcome.replace(/\.$/, "")}.`); turned.hidden = false; }
  const clock = row.protection;
  const running = clock?.bare_since ? (Date.now() - Date.parse(clock.bare_since)) / 1000 : 0;
  if (clock) setText(part("seconds"), `${(clock.seconds + Math.max(0, running)).toFixed(1)} s`);
}

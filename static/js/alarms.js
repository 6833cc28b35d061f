/* The banner of alarms that nobody has acknowledged: the oldest first, urgent ones in the tab's title and, if switched on, by sound. */

import { feed } from "./feed.js";
import { setText } from "./format.js";
import { send } from "./positions_send.js";
import { toast } from "./toasts.js";

const KEY = "desk.sound";
const MOST_SENT = 30; // positions.alarms.SHOWN: beyond that their number is not known here
const SOUND_EVERY_MS = 15_000;
const banner = document.getElementById("banner-alarms");
const form = banner?.querySelector("[data-alarm-form]");
const acknowledged = new Set(); // here, before the worker has read it
let soundedAt = -Infinity;

function show(alarms) {
  const waiting = alarms.filter((alarm) => !acknowledged.has(alarm.id));
  const loudest = waiting.find((alarm) => alarm.severity === "urgent") ?? waiting[0];
  banner.hidden = !loudest;
  document.body.dataset.urgent = loudest?.severity === "urgent" ? "yes" : "";
  if (!loudest) return;
  banner.dataset.severity = loudest.severity;
  setText(banner.querySelector("[data-alarm-count]"), waiting.length + (alarms.length >= MOST_SENT ? "+" : ""));
  setText(banner.querySelector("[data-alarm-text]"), loudest.ended_at ? `${loudest.text} (over now)` : loudest.text);
  if (form) {
    form.action = `/alarms/${loudest.id}/acknowledge`;
    form.dataset.alarm = String(loudest.id);
  }
  if (loudest.severity === "urgent") sound();
}

function sound() {
  if (localStorage.getItem(KEY) !== "on" || performance.now() - soundedAt < SOUND_EVERY_MS) return;
  soundedAt = performance.now();
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  volume.gain.value = 0.1;
  tone.frequency.value = 880;
  tone.connect(volume).connect(audio.destination);
  tone.onended = () => audio.close();
  tone.start();
  tone.stop(audio.currentTime + 0.4);
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = Number(form.dataset.alarm ?? form.action.match(/alarms\/(\d+)\//)?.[1]);
  const answer = await send(form);
  if (!answer || answer.error) { if (answer) toast(`The alarm stands: ${answer.error}`, "warn", "/alarms/"); return; }
  acknowledged.add(id);
  show(latest);
});

let latest = [];
feed.health((health) => {
  if (!Array.isArray(health.alarms)) return; // a worker of an earlier version: what the server rendered stands
  latest = health.alarms;
  show(latest);
});

function showChoice() {
  const chosen = localStorage.getItem(KEY) === "on" ? "on" : "off";
  for (const button of document.querySelectorAll("[data-sound-choice]")) button.setAttribute("aria-pressed", String(button.dataset.soundChoice === chosen));
}
for (const button of document.querySelectorAll("[data-sound-choice]")) button.addEventListener("click", () => { localStorage.setItem(KEY, button.dataset.soundChoice); showChoice(); });
showChoice();

// Everything by key, and a list of the keys. Single letters can be switched off: a voice or a slipped finger presses them.

import { byId, element, kept } from "./dom.js";
import { nameSomebody } from "./naming.js";
import { look } from "./picture.js";
import { toggleRecording } from "./recording.js";
import { live } from "./session.js";
import { span } from "./span.js";
import { teach } from "./teach.js";

const camera = (i) => live.state?.cameras[i] && look(false, live.state.cameras[i].name);

const ACTS = {
  "0": () => live.state?.cameras.length > 1 && look(true, live.state.camera),
  n: () => live.state?.people.length && nameSomebody(live.state.camera, live.state.people[0].track, live.state.people[0].person),
  r: toggleRecording,
  t: teach,
  d: () => toggleTheme(),
  e: () => openTab("events"),
  s: () => openTab("tuning"),
  h: () => openTab("health"),
  l: () => byId("timeline").focus(),
  "?": () => byId("helping").showModal(),
};
for (let i = 1; i <= 9; i += 1) ACTS[i] = () => camera(i - 1);

const HELP = [
  ["0", "all cameras side by side"], ["1 … 9", "one camera"], ["N", "name the first person"], ["R", "start or stop a recording"],
  ["T", "teach a new action"], ["E S H", "events, sensitivity, health"], ["D", "dark or light"], ["L", "to the timeline"],
  ["← →", "on the timeline: to another moment; with Shift farther"], ["+ −", "on the timeline: less, or more, time"],
  ["Home End", "on the timeline: the oldest that is kept, and back to now"], ["Esc", "back to now; close what is open"], ["?", "this list"],
];

for (const [key, what] of HELP) byId("keys").append(element("dt", "", key), element("dd", "", what));

const keysOn = byId("keys-on");
keysOn.checked = kept.get("keys") !== "off";
keysOn.onchange = () => kept.set("keys", keysOn.checked ? null : "off");

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return; // it has keys of its own
  if (event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea")) return;
  if (event.key === "Escape" && !span.live) return span.back();
  const act = ACTS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (!keysOn.checked && event.key !== "?")) return;
  event.preventDefault();
  act();
});

export function toggleTheme() {
  const theme = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  kept.set("theme", theme === system ? null : theme);
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themechange"));
}

byId("theme").onclick = toggleTheme;
byId("help").onclick = () => byId("helping").showModal();

// Tabs, as the pattern for them has it: one stop for Tab, arrows between them.

const tabs = [...document.querySelectorAll("[role=tab]")];
const onTab = [];

export function onTabs(listen) {
  onTab.push(listen);
}

export function openTab(name, focus = true) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  kept.set("tab", name);
  for (const listen of onTab) listen(name);
}

tabs.forEach((tab, i) => {
  tab.onclick = () => openTab(tab.id.slice(4));
  tab.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    openTab(tabs[(i + step + tabs.length) % tabs.length].id.slice(4));
  };
});

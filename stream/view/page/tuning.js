// Sliders that decide how easily an action is believed: they act at once, here and in every other tab.

import { say } from "./connection.js";
import { byId, element, fill, percent, setLabel, setText } from "./dom.js";
import { className, live, on } from "./session.js";

const EVERY_MS = 100;
const MUTE = 1; // an action whose threshold is shifted by this is never said
const enter = byId("enter");
const belief = byId("belief"); // as a power of two

let waiting = null;
let timer = 0;
let touchedAt = -Infinity;

// What was moved in the last tenth of a second goes out together.
function tune(change) {
  touchedAt = performance.now();
  waiting = { ...waiting, ...change, actions: { ...waiting?.actions, ...change.actions } };
  timer ||= setTimeout(() => {
    say({ do: "tune", ...waiting });
    [waiting, timer] = [null, 0];
  }, EVERY_MS);
}

enter.oninput = () => {
  tune({ enter: Number(enter.value) });
  showValues();
};
belief.oninput = () => {
  tune({ belief: 2 ** Number(belief.value) });
  showValues();
};
byId("untune").onclick = () => {
  touchedAt = -Infinity;
  say({ do: "untune" });
};

const signed = (shift) => (Math.abs(shift) < 0.005 ? "as fitted" : `${shift > 0 ? "+" : "−"}${Math.round(100 * Math.abs(shift))} %`);

function showValues() {
  setText(byId("enter-value"), signed(Number(enter.value)));
  const times = 2 ** Number(belief.value);
  setText(byId("belief-value"), Math.abs(times - 1) < 0.02 ? "as fitted" : `${times.toFixed(times < 1 ? 2 : 1)} ×`);
  enter.setAttribute("aria-valuetext", byId("enter-value").textContent);
  belief.setAttribute("aria-valuetext", byId("belief-value").textContent);
}

// What the server says holds, unless somebody is moving it just now.
function show() {
  if (!live.hello || !live.tuned || performance.now() - touchedAt < 500) return;
  enter.value = live.tuned.enter;
  belief.value = Math.log2(live.tuned.belief);
  showValues();
  const actions = live.hello.classes.map((_, index) => index).slice(1);
  fill(byId("tuned"), actions, make, (item, index) => {
    const action = live.hello.classes[index];
    const shift = live.tuned.actions[action] ?? 0;
    const [label, slider, value, mute] = item.children;
    const muted = shift >= MUTE;
    item.dataset.action = action;
    setText(label, className(index));
    slider.value = muted ? 0 : shift;
    slider.disabled = muted;
    const threshold = Math.min(Math.max((live.hello.marks[index] ?? 0.5) + live.tuned.enter + shift, 0.01), 0.99);
    setText(value, muted ? "never" : percent(threshold));
    setLabel(slider, `${className(index)}: how sure it must be`);
    slider.setAttribute("aria-valuetext", value.textContent);
    mute.setAttribute("aria-pressed", muted);
    setLabel(mute, `Never say ${className(index)}`);
    item.classList.toggle("shifted", shift !== 0);
  });
}

function make() {
  const item = element("li");
  const slider = element("input");
  Object.assign(slider, { type: "range", min: -0.4, max: 0.4, step: 0.01 });
  const mute = element("button", "plain mute", "mute");
  mute.type = "button";
  slider.oninput = () => tune({ actions: { [item.dataset.action]: Number(slider.value) } });
  mute.onclick = () => {
    say({ do: "tune", actions: { [item.dataset.action]: mute.getAttribute("aria-pressed") === "true" ? 0 : MUTE } });
  };
  item.append(element("span", "name"), slider, element("span", "value"), mute);
  return item;
}

on("tuned", show);
on("hello", show);
setInterval(show, 1000); // after somebody has let go

// The timeline: a lane for every action, a bar for every run of it; wheel, pinch, drag and keys zoom and scroll.

import { byId, colour, element, fill, FONT, prepared, reducedMotion, setLabel, setText } from "./dom.js";
import { past } from "./history.js";
import { colourOf, drawSwatch, outlined } from "./marks.js";
import { callOf, className, clock, live, on, UNKNOWN } from "./session.js";
import { LEAST_S, span } from "./span.js";

const LANE_PX = 24;
const AXIS_PX = 20;
const ALL_LANES = 8; // with more actions than this, only those of the time that is shown have a lane
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200];

const canvas = byId("timeline");
export let lanes = [];
let dirty = true;
let width = 0;
document.documentElement.style.setProperty("--lane-height", `${LANE_PX}px`);

const visible = () => {
  const [from, to] = [span.to - span.seconds, span.to];
  return past.runs.filter((run) => run.end > from && run.start < to);
};

// What is said beside it

const clockText = (t) => {
  const whole = Math.max(0, Math.round(t));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${String(m).padStart(2, "0")}:${String(s).padStart(2, "0")}` : `${m}:${String(s).padStart(2, "0")}`;
};
const lengthText = (s) => (s < 120 ? `${Math.round(s)} seconds` : s < 7200 ? `${Math.round(s / 60)} minutes` : "2 hours");

function showWords() {
  const runs = visible();
  const all = live.hello.classes.map((_, index) => index).slice(1);
  const recent = new Set(runs.map((run) => run.action));
  lanes = all.length <= ALL_LANES ? all : all.filter((index) => recent.has(index));
  if (recent.has(UNKNOWN)) lanes.push(UNKNOWN);
  const current = new Set(span.live ? live.state.people.map((person) => person.action) : []);
  fill(byId("lanes"), lanes, () => element("li"), (item, index) => {
    setText(item, className(index));
    item.title = className(index);
    item.classList.toggle("now", current.has(index));
  });
  const title = span.live ? `Last ${lengthText(span.seconds)}` : `${lengthText(span.seconds)}, to ${clockText(span.to)}`;
  setText(byId("timeline-title"), title);
  const gone = span.to - span.seconds < span.from - 1 && past.from !== null;
  const legend = gone ? `what was before ${clockText(span.from)} is gone` : lanes.length ? "" : "no action in this time";
  setText(byId("legend"), legend || (span.live ? "hatched: not decided yet" : ""));
  byId("back").hidden = span.live;
  const words = lanes.filter((index) => recent.has(index)).map((index) => {
    const seconds = runs.filter((run) => run.action === index).reduce((sum, run) => sum + run.end - run.start, 0);
    return `${className(index)} ${seconds.toFixed(0)} seconds`;
  });
  setLabel(canvas, `Actions, ${title.toLowerCase()}: ${words.join(", ") || "none"}. Arrow keys scroll, plus and minus zoom.`);
  const notLive = byId("not-live");
  notLive.hidden = span.live;
  if (!span.live) {
    const ago = clock.now() - span.moment;
    const none = past.dark ? " (no skeleton is kept from then)" : "";
    setText(notLive, `Not live: ${clockText(ago)} ago${none}`);
  }
}

// Drawing

function draw() {
  if (!live.state || !live.hello) return;
  dirty = false;
  width = canvas.clientWidth;
  const body = LANE_PX * Math.max(lanes.length, 1);
  canvas.style.height = `${body + AXIS_PX}px`;
  const context = prepared(canvas, width, body + AXIS_PX);
  const [now, to] = [clock.now(), span.to];
  const perSecond = width / span.seconds;
  const xOf = (t) => width - (to - t) * perSecond;
  lanes.forEach((_, row) => {
    if (row % 2) return;
    context.fillStyle = colour("--lane");
    context.fillRect(0, row * LANE_PX, width, LANE_PX);
  });
  drawAxis(context, xOf, to, now, body, perSecond);
  if (now > to - span.seconds) drawUndecided(context, xOf(Math.max(live.state.decided, to - span.seconds)), xOf(Math.min(now, to)), body);
  for (const { run, row, place, among } of placed(visible())) drawRun(context, run, row, place, among, xOf);
  if (span.moment !== null) drawMoment(context, xOf(span.moment), body);
}

function drawAxis(context, xOf, to, now, body, perSecond) {
  const step = STEPS.find((seconds) => seconds * perSecond >= 64) ?? STEPS.at(-1);
  context.font = `11px ${FONT}`;
  context.textBaseline = "alphabetic";
  // Live: how long ago. Scrolled back: the camera's own time.
  const first = span.live ? 0 : Math.ceil(Math.max(to - span.seconds, span.from) / step) * step;
  for (let mark = first; span.live ? mark < span.seconds : mark <= to; mark += step) {
    const x = span.live ? xOf(to - mark) : xOf(mark);
    context.fillStyle = colour("--line");
    context.fillRect(Math.round(x) - 1, 0, 1, body + 4);
    context.fillStyle = colour("--soft");
    const text = !span.live ? clockText(mark) : mark === 0 ? "now" : mark % 60 ? `−${mark} s` : `−${mark / 60} min`;
    const half = context.measureText(text).width / 2;
    context.textAlign = "left";
    context.fillText(text, Math.min(Math.max(x - half, 0), width - 2 * half), body + AXIS_PX - 4);
  }
  const gone = xOf(Math.max(span.from, to - span.seconds));
  if (gone > 1) {
    context.fillStyle = colour("--gone");
    context.fillRect(0, 0, gone, body);
  }
}

function drawUndecided(context, from, to, height) {
  if (to - from < 1) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, height);
  context.clip();
  context.strokeStyle = colour("--line");
  context.lineWidth = 1.5;
  context.beginPath();
  for (let x = from - height; x < to; x += 7) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  context.restore();
}

function drawMoment(context, x, body) {
  context.fillStyle = colour("--accent");
  context.fillRect(Math.round(x) - 1, 0, 2, body + 6);
  context.beginPath();
  context.arc(x, body + 6, 4, 0, 7);
  context.fill();
}

// Where each run goes: people who do the same at the same time share the lane's height.
function placed(runs) {
  const rows = new Map(lanes.map((action, row) => [action, row]));
  const byLane = lanes.map(() => []);
  for (const run of runs) if (rows.has(run.action)) byLane[rows.get(run.action)].push(run);
  return byLane.flatMap((lane, row) => {
    lane.sort((a, b) => a.start - b.start);
    const found = [];
    for (let first = 0; first < lane.length; ) {
      let [last, end] = [first, lane[first].end];
      while (last + 1 < lane.length && lane[last + 1].start < end) end = Math.max(end, lane[(last += 1)].end);
      const cluster = lane.slice(first, last + 1);
      const people = [...new Set(cluster.map((run) => run.person))].sort();
      for (const run of cluster) found.push({ run, row, place: people.indexOf(run.person), among: people.length });
      first = last + 1;
    }
    return found;
  });
}

function drawRun(context, run, row, place, among, xOf) {
  const height = (LANE_PX - 6) / among;
  const [left, right] = [Math.max(0, xOf(run.start)), Math.min(width, xOf(run.end))];
  const top = row * LANE_PX + 3 + place * height;
  const wide = Math.max(2, right - left - 1);
  context.globalAlpha = run.action === UNKNOWN ? 0.4 : 1;
  drawSwatch(context, run.person, left, top, wide, height - (among > 1 ? 1 : 0), Math.min(5, height / 3));
  context.globalAlpha = 1;
  if (wide > 16 && height > 8) {
    context.save();
    context.clip(); // to the bar that was just filled
    context.font = `750 ${Math.min(12, height)}px ${FONT}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const who = wide > 40 ? callOf(run.track, run.person) : run.person;
    outlined(context, who, left + 6, top + height / 2 + 0.5, colourOf(run.person), height < 12 ? 1.5 : 3.5);
    context.restore();
  }
}

// Draw only as often as anything moves by half a pixel, and never what nobody sees.
let drawnAt = 0;

function animate(at) {
  requestAnimationFrame(animate);
  const every_ms = Math.min(Math.max((500 * span.seconds) / (width || 600), 33), 500);
  const moves = span.live && clock.running && !reducedMotion.matches && at - drawnAt >= every_ms;
  if (!dirty && !moves) return;
  drawnAt = at;
  draw();
}

const refresh = () => {
  if (!live.state || !live.hello) return;
  showWords();
  dirty = true;
};
on("runs", refresh);
on("span", refresh);
on("theme", refresh);
on("closed", refresh);
new ResizeObserver(() => (dirty = true)).observe(canvas);
requestAnimationFrame(animate);

// Wheel, pinch, drag, keys

const shareOf = (x) => Math.min(Math.max((x - canvas.getBoundingClientRect().left) / canvas.clientWidth, 0), 1);
const timeAt = (x) => span.to - (1 - shareOf(x)) * span.seconds;

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      span.show(span.to + ((event.deltaX || event.deltaY) / canvas.clientWidth) * span.seconds, null);
    } else span.zoom(Math.exp(event.deltaY / 400), span.live ? 1 : shareOf(event.clientX));
  },
  { passive: false },
);

const fingers = new Map();
let dragged = 0;

canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event.clientX);
  dragged = 0;
};

canvas.onpointermove = (event) => {
  if (!fingers.has(event.pointerId)) return;
  const before = [...fingers.values()];
  fingers.set(event.pointerId, event.clientX);
  const after = [...fingers.values()];
  dragged += Math.abs(after[0] - before[0]);
  if (fingers.size === 2) {
    const [was, is] = [before, after].map(([a, b]) => Math.max(Math.abs(a - b), 8));
    dragged += 9;
    span.zoom(was / is, span.live ? 1 : shareOf((after[0] + after[1]) / 2));
  } else if (dragged > 4) span.show(span.to - ((after[0] - before[0]) / canvas.clientWidth) * span.seconds, null);
};

canvas.onpointerup = (event) => {
  if (fingers.size === 1 && dragged <= 4) span.look(timeAt(event.clientX));
  fingers.delete(event.pointerId);
};
canvas.onpointercancel = (event) => fingers.delete(event.pointerId);

const KEYS = {
  ArrowLeft: (fast) => span.look((span.moment ?? span.to) - (fast ? span.seconds / 2 : span.seconds / 30)),
  ArrowRight: (fast) => span.look((span.moment ?? span.to) + (fast ? span.seconds / 2 : span.seconds / 30)),
  PageUp: () => span.look((span.moment ?? span.to) - span.seconds),
  PageDown: () => span.look((span.moment ?? span.to) + span.seconds),
  Home: () => span.look(span.from),
  End: () => span.back(),
  "+": () => span.zoom(1 / 1.5),
  "=": () => span.zoom(1 / 1.5),
  "-": () => span.zoom(1.5),
};

canvas.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  KEYS[event.key](event.shiftKey);
};

byId("back").onclick = () => span.back();
byId("zoom-in").onclick = () => span.zoom(Math.max(0.5, LEAST_S / span.seconds));
byId("zoom-out").onclick = () => span.zoom(2);

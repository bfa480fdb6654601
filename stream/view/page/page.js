// The live page: receives pictures and states over one WebSocket and draws them. No state of its own outlives a reload.

"use strict";

const COLOURS = ["#38bdf8", "#fbbf24", "#4ade80", "#f472b6", "#a78bfa", "#fb923c", "#2dd4bf", "#e5e7eb"];
const PATTERNS = 4; // plain, stripes, dots, crosses; page.css has the same ones
const DARK = "#06080c";
const SURE = 0.3; // joints that are less certain than this are not drawn
const LANE_PX = 24;
const AXIS_PX = 20;
const ALL_LANES = 8; // with more actions than this, only those of the last seconds have a lane
const UNKNOWN = -1; // a movement that is none of the classes, or of which too little is seen
const NOTICES = {
  connecting: "connecting…",
  full: "too many viewers are watching; trying again…",
  stranger: "this page's token is no longer good; open the address that skelstream told when it was started",
  waiting: "waiting for the camera",
  nobody: "nobody in the picture",
  lost: "camera lost",
  ended: "stream ended",
  live: "live",
};

const byId = (id) => document.getElementById(id);
const stage = byId("stage");
const image = byId("picture");
const overlay = byId("overlay");
const timeline = byId("timeline");
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

let hello = null;
let state = null;
let log = [];
let picture = null; // header of the picture on the screen
let wantedCamera = null;

// Small things that every part needs

const personIndex = (letter) => letter.charCodeAt(0) - 65 + 26 * (Number(letter.slice(1) || 1) - 1);
const colourOf = (letter) => COLOURS[personIndex(letter) % COLOURS.length];
const patternOf = (letter) => personIndex(letter) % PATTERNS;
const className = (index) => (index === UNKNOWN ? "unknown" : index === 0 ? "no action" : hello.classes[index].replaceAll("_", " "));
const percent = (share) => `${Math.round(100 * share)} %`;
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function badge(letter, small) {
  const made = element("span", `badge pattern-${patternOf(letter)}${small ? " small" : ""}`, letter);
  made.style.setProperty("--person", colourOf(letter));
  made.setAttribute("aria-label", `Person ${letter}`);
  return made;
}

// Make `list` have one child for every item, made by `make` and brought up to date by `update`.
function fill(list, items, make, update) {
  while (list.children.length > items.length) list.lastChild.remove();
  while (list.children.length < items.length) list.append(make());
  items.forEach((item, i) => update(list.children[i], item));
}

// A canvas with as many pixels as the screen has for it; drawn in CSS pixels.
function prepared(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Connection

let socket = null;
let retry_ms = 500;
let retryTimer = 0;

function connect() {
  clearTimeout(retryTimer);
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => (typeof data === "string" ? onText(JSON.parse(data)) : onPicture(data));
  socket.onclose = ({ code }) => {
    clock.freeze();
    showStatus(code === 1013 ? "full" : "connecting");
    if (code === 1006) askWhether();
    retryTimer = setTimeout(connect, retry_ms);
    retry_ms = Math.min(1.6 * retry_ms, 4000);
  };
}

// A browser does not tell a page why its WebSocket was refused; a server that was started again has another token.
async function askWhether() {
  const answer = await fetch("/", { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) showStatus("stranger");
}

function say(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function onText(message) {
  if (message.type === "hello") {
    hello = message;
    retry_ms = 500;
    if (wantedCamera !== null) say({ camera: wantedCamera });
  } else if (message.type === "log") {
    log = message.entries;
    showEvents();
  } else if (message.type === "state") {
    state = message;
    clock.set(state);
    showState();
    say({ seen: "state" });
  }
}

// The camera's clock, smoothed, so that the timeline glides although states come in steps.
const clock = {
  offset: 0,
  newest: 0,
  running: false,
  set({ t, status }) {
    const offset = t - performance.now() / 1000;
    const jumped = Math.abs(offset - this.offset) > 1;
    this.offset = jumped || !this.running ? offset : this.offset + 0.08 * (offset - this.offset);
    this.newest = t;
    this.running = status === "live" || status === "nobody";
  },
  freeze() {
    this.running = false;
  },
  now() {
    return this.running ? Math.min(performance.now() / 1000 + this.offset, this.newest + 0.5) : this.newest;
  },
};

// Picture: the skeleton travels with its picture. Both are canvases drawn in one task, so that they change in the same
// moment; an <img> shows its new source some frames before or after.

let showing = false;
let next = null;

async function onPicture(data) {
  next = data;
  if (showing) return; // the newest waits, older ones are let go
  showing = true;
  while (next) {
    const bytes = next;
    next = null;
    try {
      await showPicture(bytes);
    } catch (error) {
      console.warn("a picture that cannot be shown", error);
    }
    say({ seen: "picture" });
  }
  showing = false;
}

async function showPicture(bytes) {
  const length = new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes, 4 + length)], { type: "image/jpeg" }));
  if (image.width !== bitmap.width || image.height !== bitmap.height) {
    [image.width, image.height] = [bitmap.width, bitmap.height];
    stage.style.setProperty("--ratio", bitmap.width / bitmap.height);
  }
  image.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  picture = header;
  image.hidden = false;
  [image.dataset.camera, image.dataset.seq] = [header.camera, header.seq];
  drawOverlay();
}

function drawOverlay() {
  const { width, height } = stage.getBoundingClientRect();
  const context = prepared(overlay, width, height);
  if (!picture || !hello) return;
  const scale = Math.min(width / picture.size[0], height / picture.size[1]);
  const left = (width - scale * picture.size[0]) / 2;
  const top = (height - scale * picture.size[1]) / 2;
  const labels = [];
  for (const person of picture.people) {
    const points = person.pixels.map(([x, y]) => [left + scale * x, top + scale * y]);
    drawSkeleton(context, points, person.confidence, colourOf(person.person));
    labels.push(labelFor(person, points));
  }
  placeLabels(labels, width, height).forEach((label) => drawLabel(context, label));
}

function drawSkeleton(context, points, confidence, colour) {
  const bones = hello.bones.filter(([a, b]) => confidence[a] >= SURE && confidence[b] >= SURE);
  context.lineCap = "round";
  // A dark edge under every bone: it is seen on a white wall and on a black coat.
  for (const [width, style] of [[6.5, "#06080ccc"], [3.5, colour]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.beginPath();
    for (const [a, b] of bones) {
      context.moveTo(...points[a]);
      context.lineTo(...points[b]);
    }
    context.stroke();
  }
  points.forEach(([x, y], joint) => {
    if (confidence[joint] < SURE) return;
    context.beginPath();
    context.arc(x, y, 4.2, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = DARK;
    context.stroke();
  });
}

function labelFor(person, points) {
  const known = state && state.people.find((other) => other.track === person.track);
  const [head, neck] = [points[hello.joints.indexOf("Head")], points[hello.joints.indexOf("SpineShoulder")]];
  return {
    letter: person.person,
    action: known && known.action !== null ? className(known.action) : "watching…",
    confidence: known ? known.confidence : 0,
    x: head[0],
    y: head[1] - 0.75 * Math.hypot(head[0] - neck[0], head[1] - neck[1]) - 10,
  };
}

const LABEL_FONT = "600 14px system-ui, sans-serif";
const LABEL_PX = 36;

// Give every label its box: centred over the head, inside the picture's frame, none on another.
function placeLabels(labels, width, height) {
  const context = overlay.getContext("2d");
  context.font = LABEL_FONT;
  const placed = [];
  for (const label of labels.sort((a, b) => b.y - a.y)) {
    label.text = label.action;
    label.number = label.confidence ? percent(label.confidence) : "";
    label.width = 42 + context.measureText(label.text).width + (label.number ? 10 + context.measureText(label.number).width : 0);
    label.left = Math.max(4, Math.min(width - label.width - 4, label.x - label.width / 2));
    label.top = Math.max(4, Math.min(height - LABEL_PX - 4, label.y - LABEL_PX));
    const hit = () => placed.find((other) => label.left < other.left + other.width + 4 && other.left < label.left + label.width + 4
      && Math.abs(label.top - other.top) < LABEL_PX + 4);
    for (let other = hit(), tries = 0; other && tries < 8; other = hit(), tries += 1) {
      label.top = other.top - LABEL_PX - 4 >= 4 ? other.top - LABEL_PX - 4 : other.top + LABEL_PX + 4;
    }
    placed.push(label);
  }
  return placed;
}

function drawLabel(context, { letter, text, number, confidence, left, top, width }) {
  const colour = colourOf(letter);
  context.fillStyle = "#0b0e13e6";
  context.beginPath();
  context.roundRect(left, top, width, LABEL_PX, 9);
  context.fill();
  drawSwatch(context, letter, left + 7, top + 6, 20, 18, 5);
  context.font = "750 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  outlined(context, letter, left + 17, top + 15.5, colour);
  context.font = LABEL_FONT;
  context.textAlign = "left";
  context.fillStyle = "#fff";
  context.fillText(text, left + 34, top + 15.5);
  if (number) {
    context.textAlign = "right";
    context.fillStyle = "#c5cfdb";
    context.fillText(number, left + width - 8, top + 15.5);
  }
  context.fillStyle = "#ffffff2e";
  context.fillRect(left + 8, top + LABEL_PX - 7, width - 16, 3);
  context.fillStyle = colour;
  context.fillRect(left + 8, top + LABEL_PX - 7, (width - 16) * confidence, 3);
}

// The letter on its own pattern stays readable with a rim of the person's colour.
function outlined(context, text, x, y, rim, width = 3.5) {
  context.lineWidth = width;
  context.lineJoin = "round";
  context.strokeStyle = rim;
  context.strokeText(text, x, y);
  context.fillStyle = DARK;
  context.fillText(text, x, y);
}

const tiles = new Map();

function patternTile(letter) {
  const kind = patternOf(letter);
  const key = `${kind} ${colourOf(letter)}`;
  if (!tiles.has(key)) {
    const tile = new OffscreenCanvas(16, 16); // drawn at twice its size, for sharp screens
    const context = tile.getContext("2d");
    context.fillStyle = colourOf(letter);
    context.fillRect(0, 0, 16, 16);
    context.strokeStyle = context.fillStyle = "#06080c80";
    context.lineWidth = 3;
    context.beginPath();
    for (const shift of [-16, 0, 16]) {
      if (kind === 1 || kind === 3) (context.moveTo(shift - 2, 18), context.lineTo(shift + 18, -2));
      if (kind === 3) (context.moveTo(shift - 2, -2), context.lineTo(shift + 18, 18));
    }
    context.stroke();
    if (kind === 2) for (const [x, y] of [[4, 4], [12, 12]]) (context.beginPath(), context.arc(x, y, 2.4, 0, 7), context.fill());
    tiles.set(key, tile);
  }
  return tiles.get(key);
}

function drawSwatch(context, letter, left, top, width, height, radius) {
  const pattern = context.createPattern(patternTile(letter), "repeat");
  pattern.setTransform(new DOMMatrix([0.5, 0, 0, 0.5, left, top]));
  context.fillStyle = pattern;
  context.beginPath();
  context.roundRect(left, top, width, height, radius);
  context.fill();
}

// What the state says in words and numbers

function showStatus(status) {
  byId("status").dataset.status = status;
  setText(byId("status-text"), NOTICES[status]);
  const notice = byId("notice");
  const bare = status === "live" && image.hidden; // people are known, but no picture has come
  notice.hidden = status === "live" && !bare;
  setText(notice, bare ? "no picture of this camera" : status === "lost" ? lossOf(state.camera) : NOTICES[status]);
  notice.classList.toggle("low", status === "nobody");
  notice.classList.toggle("long", status === "lost" || status === "stranger");
  stage.classList.toggle("away", !["live", "nobody"].includes(status));
}

function lossOf(name) {
  const camera = state.cameras.find((one) => one.name === name);
  const since = new Date(1000 * camera.lost_at).toLocaleTimeString();
  return `camera lost\n${camera.reason}\nsince ${since}; it is tried again until it is back`;
}

function showState() {
  if (picture && picture.camera !== state.camera) {
    picture = null;
    image.hidden = true;
  }
  showStatus(state.status);
  showCameras();
  showPeople();
  showVitals();
  showStages();
  showLanes();
  drawOverlay();
  if (reducedMotion.matches) drawTimeline();
}

function showCameras() {
  byId("cameras").hidden = state.cameras.length < 2;
  const make = () => {
    const button = element("button");
    button.type = "button";
    button.onclick = () => {
      wantedCamera = button.textContent;
      say({ camera: wantedCamera });
    };
    return button;
  };
  fill(byId("cameras"), state.cameras, make, (button, camera) => {
    setText(button, camera.name);
    button.title = NOTICES[camera.status];
    button.dataset.status = camera.status;
    button.setAttribute("aria-pressed", camera.name === state.camera);
  });
}

function makePerson() {
  const item = element("li", "person");
  const what = element("div", "what");
  what.append(element("span", "badge"), element("span", "action"), element("span", "share"));
  item.append(what, element("p", "since"), element("ul", "top"));
  return item;
}

function makeProbability() {
  const item = element("li");
  const bar = element("span", "bar");
  bar.append(element("i"));
  item.append(element("span", "name"), bar, element("span", "number"));
  return item;
}

function showPeople() {
  const people = state.people;
  byId("no-people").hidden = people.length > 0;
  const nobody = { waiting: "Nobody yet.", lost: "The camera sees nobody." };
  setText(byId("no-people"), nobody[state.status] ?? "Nobody in the picture.");
  fill(byId("people"), people, makePerson, (item, person) => {
    item.style.setProperty("--person", colourOf(person.person));
    item.classList.toggle("idle", !person.action);
    item.classList.toggle("unknown", person.action === UNKNOWN);
    const [mark, action, share] = item.firstChild.children;
    if (mark.textContent !== person.person) mark.replaceWith(badge(person.person));
    setText(action, person.action === null ? "watching…" : className(person.action));
    setText(share, person.action === null ? "" : percent(person.confidence));
    setText(item.children[1], person.action === null ? "\u00a0" : `for ${Math.max(0, state.t - person.since).toFixed(1)} s`);
    fill(item.children[2], person.top.slice(0, Math.max(1, 5 - people.length)), makeProbability, (row, [index, probability]) => {
      row.classList.toggle("current", index === person.action);
      setText(row.children[0], className(index));
      row.children[1].firstChild.style.width = `${100 * probability}%`;
      setText(row.children[2], percent(probability));
    });
  });
  announce(people);
}

let announced = "";
let announcedAt = -Infinity;

// Spoken only when an action changed, and at most once a second.
function announce(people) {
  const words = people.filter((p) => p.action !== null).map((p) => `${p.person}: ${className(p.action)}`).join(", ");
  if (words === announced || performance.now() - announcedAt < 1000) return;
  [announced, announcedAt] = [words, performance.now()];
  byId("spoken").textContent = words;
}

function showVitals() {
  const { fps, pose_fps: poseFps, latency, stages } = state;
  const drops = stages.reduce((sum, one) => sum + one.drops, 0);
  const growing = stages.some((one) => one.dropping);
  setText(byId("fps"), fps === null ? "–" : fps.toFixed(1));
  setText(byId("pose-fps"), poseFps === null ? "no pose" : `pose ${poseFps.toFixed(1)}`);
  setText(byId("p50"), latency ? latency.p50_ms.toFixed(0) : "–");
  setText(byId("p95"), latency ? `p95 ${latency.p95_ms.toFixed(0)}` : "no decision");
  setText(byId("drops"), String(drops));
  setText(byId("dropping"), growing ? "▲ falling behind" : "keeping up");
  byId("dropped").classList.toggle("growing", growing);
}

const SIGNS = { starting: "…", ready: "✓", stale: "!", ended: "■", failed: "✕", silent: "?" };

function gaugeText(stageName, gauge, value) {
  const name = gauge.startsWith(`${stageName}_`) ? gauge.slice(stageName.length) : `_${gauge}`;
  const unit = name.match(/_(ms|s|hz|fps|mb)$/);
  const number = Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toFixed(1)).toString();
  const measure = unit ? `${number} ${unit[1] === "mb" ? "MB" : unit[1]}` : number;
  const words = unit ? name.slice(1, Math.max(1, unit.index)) : name.slice(1);
  return { measure, full: `${words} ${measure}`.trim().replaceAll("_", " ") };
}

function showStages() {
  byId("no-stages").hidden = state.stages.length > 0;
  const make = () => {
    const item = element("li");
    item.append(element("span", "sign"), element("span", "name"), element("span", "detail"), element("span", "lost"));
    return item;
  };
  fill(byId("stages"), state.stages, make, (item, one) => {
    item.className = one.state + (one.dropping ? " dropping" : "");
    const gauges = Object.entries(one.gauges).map(([name, value]) => gaugeText(one.stage, name, value));
    const age = one.state === "stale" && one.age_s !== null ? `no frame for ${one.age_s.toFixed(1)} s` : "";
    const words = one.state === "ready" ? gauges.slice(0, 1).map((gauge) => gauge.measure) : [one.state, age, one.message].filter(Boolean);
    const [sign, name, detail, lost] = item.children;
    setText(sign, SIGNS[one.state]);
    sign.setAttribute("aria-label", one.state);
    setText(name, one.stage);
    setText(detail, words.join(" · "));
    item.title = [`process ${one.pid}`, ...gauges.map((gauge) => gauge.full), one.message].filter(Boolean).join("\n");
    setText(lost, one.drops ? `${one.dropping ? "▲" : ""}−${one.drops}` : "");
    lost.title = `${one.drops} dropped`;
  });
}

function showEvents() {
  const entries = log.slice().reverse();
  byId("no-events").hidden = entries.length > 0;
  const make = () => {
    const item = element("li");
    item.append(element("span", "time"), element("span", "badge"), element("span", "name"), element("span", "length"));
    return item;
  };
  fill(byId("events"), entries, make, (item, entry) => {
    const [time, mark, name, length] = item.children;
    const minutes = Math.floor(entry.t_start / 60);
    item.classList.toggle("ongoing", entry.t_end === null);
    setText(time, `${minutes}:${(entry.t_start - 60 * minutes).toFixed(1).padStart(4, "0")}`);
    if (mark.textContent !== entry.person) mark.replaceWith(badge(entry.person, true));
    setText(name, entry.action.replaceAll("_", " "));
    setText(length, entry.t_end === null ? "now" : `${(entry.t_end - entry.t_start).toFixed(1)} s`);
    item.title = `${percent(entry.confidence)} sure; decided ${entry.latency_ms.toFixed(0)} ms after the camera saw it`;
  });
}

// Timeline

let lanes = [];

function showLanes() {
  const all = hello.classes.map((_, index) => index).slice(1);
  const recent = new Set(state.runs.map((run) => run.action));
  lanes = all.length <= ALL_LANES ? all : all.filter((index) => recent.has(index));
  if (recent.has(UNKNOWN)) lanes.push(UNKNOWN);
  const current = new Set(state.people.map((person) => person.action));
  fill(byId("lanes"), lanes, () => element("li"), (item, index) => {
    setText(item, className(index));
    item.title = className(index);
    item.classList.toggle("now", current.has(index));
  });
  setText(byId("legend"), lanes.length ? "hatched: not decided yet" : "no action in this time");
  const words = lanes.filter((index) => recent.has(index)).map((index) => {
    const runs = state.runs.filter((run) => run.action === index);
    const seconds = runs.reduce((sum, run) => sum + run.end - run.start, 0);
    return `${className(index)} ${seconds.toFixed(0)} seconds`;
  });
  timeline.setAttribute("aria-label", `Actions of the last 30 seconds: ${words.join(", ") || "none"}`);
}

function drawTimeline() {
  if (!state || !hello) return;
  const width = timeline.clientWidth;
  const height = LANE_PX * lanes.length + AXIS_PX;
  timeline.style.height = `${height}px`;
  const context = prepared(timeline, width, height);
  const now = clock.now();
  const perSecond = width / hello.window_s;
  const xOf = (t) => width - (now - t) * perSecond;
  const body = LANE_PX * lanes.length;

  lanes.forEach((_, row) => {
    if (row % 2) return;
    context.fillStyle = token("--lane");
    context.fillRect(0, row * LANE_PX, width, LANE_PX);
  });

  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "alphabetic";
  const step = width < 420 ? 10 : 5;
  for (let ago = 0; ago < hello.window_s; ago += step) {
    const x = width - ago * perSecond;
    context.fillStyle = token("--line");
    context.fillRect(Math.round(x) - 1, 0, 1, body + 4);
    context.fillStyle = token("--soft");
    context.textAlign = ago ? "center" : "right";
    context.fillText(ago ? `−${ago} s` : "now", x, height - 4);
  }

  drawUndecided(context, xOf(Math.max(state.decided, now - hello.window_s)), width, body);
  for (const run of state.runs) drawRun(context, run, xOf);
}

function drawUndecided(context, from, to, height) {
  if (to - from < 1) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, height);
  context.clip();
  context.strokeStyle = token("--line");
  context.lineWidth = 1.5;
  context.beginPath();
  for (let x = from - height; x < to; x += 7) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  context.restore();
}

// People who do the same at the same time share the lane's height.
function drawRun(context, run, xOf) {
  const row = lanes.indexOf(run.action);
  if (row < 0) return;
  const together = [...new Set(state.runs
    .filter((other) => other.action === run.action && other.start < run.end && run.start < other.end)
    .map((other) => other.person))].sort();
  const height = (LANE_PX - 6) / together.length;
  const [left, right] = [Math.max(0, xOf(run.start)), xOf(run.end)];
  const top = row * LANE_PX + 3 + together.indexOf(run.person) * height;
  const width = Math.max(2, right - left - 1);
  if (right <= 0) return;
  context.globalAlpha = run.action === UNKNOWN ? 0.4 : 1;
  drawSwatch(context, run.person, left, top, width, height - (together.length > 1 ? 1 : 0), Math.min(5, height / 3));
  context.globalAlpha = 1;
  if (width > 16 && height > 8) {
    context.save();
    context.clip(); // to the bar that was just filled
    context.font = `750 ${Math.min(12, height)}px system-ui, sans-serif`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    outlined(context, run.person, left + 6, top + height / 2 + 0.5, colourOf(run.person), height < 12 ? 1.5 : 3.5);
    context.restore();
  }
}

function animate() {
  if (!reducedMotion.matches) drawTimeline();
  requestAnimationFrame(animate);
}

document.documentElement.style.setProperty("--lane-height", `${LANE_PX}px`);
new ResizeObserver(drawOverlay).observe(stage);
addEventListener("online", connect);
addEventListener("visibilitychange", () => document.hidden || connect());
connect();
requestAnimationFrame(animate);

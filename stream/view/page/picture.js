// The cameras' pictures, one large or all side by side. A picture and its skeletons are drawn in one task, from one
// message: a skeleton never lags behind its picture.

import { say, showCameras } from "./connection.js";
import { byId, colour, element, fill, prepared, setLabel, setText } from "./dom.js";
import { nameSomebody } from "./naming.js";
import { drawPeople } from "./skeleton.js";
import { live, looking, on, tell } from "./session.js";
import { span } from "./span.js";

export const NOTICES = {
  connecting: "connecting…",
  full: "too many viewers are watching; trying again…",
  stranger: "this page's token is no longer good; open the address that skelstream told when it was started",
  waiting: "waiting for the camera",
  nobody: "nobody in the picture",
  lost: "camera lost",
  ended: "stream ended",
  live: "live",
};

const stage = byId("stage");
const tiles = byId("tiles");
const shown = new Map(); // camera: what is drawn in its tile
let past = null; // what was seen at the moment that is looked at, when it is not now

const camerasShown = () => {
  const names = live.state.cameras.map((camera) => camera.name);
  return looking.all && names.length > 1 ? names : names.filter((name) => name === live.state.camera);
};

// What to show

export function look(all, focus) {
  if (all === looking.all && focus === looking.focus) return;
  Object.assign(looking, { all, focus });
  if (live.state) showTiles();
  ask();
}

function ask() {
  showCameras(document.hidden || !span.live ? [] : live.state ? camerasShown() : undefined);
}

addEventListener("visibilitychange", ask);
on("open", ask);
on("span", () => {
  ask();
  drawAll();
});

let askedFor = "";

on("state", () => {
  const names = camerasShown().join("\n");
  if (names !== askedFor) {
    askedFor = names;
    ask();
  }
  showTiles();
  showStatus(live.state.status);
  showNav();
});

function showNav() {
  const { cameras } = live.state;
  const nav = byId("cameras");
  nav.hidden = cameras.length < 2;
  if (nav.hidden) return;
  const make = () => {
    const made = element("button");
    made.type = "button";
    return made;
  };
  fill(nav, [{ name: "All", status: "live", every: true }, ...cameras], make, (node, camera, i) => {
    setText(node, camera.name);
    node.title = camera.every ? "Side by side (0)" : `${NOTICES[camera.status]} (${i})`;
    node.dataset.status = camera.status;
    node.setAttribute("aria-pressed", camera.every ? looking.all : !looking.all && camera.name === live.state.camera);
    node.onclick = () => (camera.every ? look(true, looking.focus) : look(false, camera.name));
  });
}

function showTiles() {
  const names = camerasShown();
  const make = () => {
    const tile = element("div", "tile");
    const canvas = element("canvas", "picture");
    canvas.setAttribute("role", "img");
    const bar = element("button", "tile-name");
    bar.type = "button";
    bar.append(element("span", "tile-camera"), element("span", "tile-status"));
    tile.append(canvas, bar);
    canvas.onclick = (event) => onClick(tile.dataset.camera, event);
    bar.onclick = () => look(!looking.all, tile.dataset.camera);
    resizing.observe(tile);
    return tile;
  };
  tiles.dataset.count = Math.min(names.length, 9);
  fill(tiles, names, make, (tile, name) => {
    const camera = live.state.cameras.find((one) => one.name === name);
    if (tile.dataset.camera !== name) {
      tile.dataset.camera = name;
      delete tile.dataset.seq;
      draw(tile);
    }
    const [canvas, bar] = tile.children;
    tile.dataset.status = camera.status;
    tile.classList.toggle("focus", looking.all && name === live.state.camera);
    bar.hidden = !looking.all;
    setText(bar.firstChild, name);
    setText(bar.lastChild, camera.status === "live" ? `${camera.people} in the picture` : NOTICES[camera.status]);
    setLabel(bar, `${name}, ${bar.lastChild.textContent}: show it large`);
    setLabel(canvas, `The newest picture of ${name}, ${bar.lastChild.textContent}`);
  });
  for (const name of [...shown.keys()]) if (!live.state.cameras.some((one) => one.name === name)) letGo(name);
}

function letGo(name) {
  shown.get(name).bitmap.close();
  shown.delete(name);
}

function showStatus(status) {
  byId("status").dataset.status = status;
  setText(byId("status-text"), NOTICES[status]);
  const away = ["connecting", "full", "stranger"].includes(status) || !looking.all;
  const bare = status === "live" && !shown.has(live.state?.camera); // people are known, but no picture has come
  const notice = byId("notice");
  notice.hidden = !span.live || !away || (status === "live" && !bare);
  setText(notice, bare ? "no picture of this camera" : status === "lost" ? lossOf(live.state.camera) : NOTICES[status]);
  notice.classList.toggle("low", status === "nobody");
  notice.classList.toggle("long", status === "lost" || status === "stranger");
  stage.classList.toggle("away", away && !["live", "nobody"].includes(status));
}

on("closed", showStatus);

function lossOf(name) {
  const camera = live.state.cameras.find((one) => one.name === name);
  const since = new Date(1000 * camera.lost_at).toLocaleTimeString();
  return `camera lost\n${camera.reason}\nsince ${since}; it is tried again until it is back`;
}

// Pictures

let busy = false;
const next = new Map(); // camera: the newest picture that waits

on("picture", async (data) => {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  if (next.has(header.camera)) say({ seen: "picture" }); // the older one is let go
  next.set(header.camera, { header, jpeg: new Uint8Array(data, 4 + length) });
  if (busy) return;
  busy = true;
  while (next.size) {
    const [camera, { header: newest, jpeg }] = next.entries().next().value;
    next.delete(camera);
    try {
      await show(newest, jpeg);
    } catch (error) {
      console.warn("a picture that cannot be shown", error);
    }
    say({ seen: "picture" });
  }
  busy = false;
});

async function show(header, jpeg) {
  const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  shown.get(header.camera)?.bitmap.close();
  shown.set(header.camera, { header, bitmap, labels: [] });
  const tile = tileOf(header.camera);
  if (tile) draw(tile);
}

const tileOf = (camera) => [...tiles.children].find((tile) => tile.dataset.camera === camera);

const resizing = new ResizeObserver((entries) => entries.forEach((entry) => draw(entry.target)));

function drawAll() {
  for (const tile of tiles.children) draw(tile);
  if (live.state) showStatus(live.state.status);
}

function draw(tile) {
  const canvas = tile.firstChild;
  const { width, height } = tile.getBoundingClientRect();
  if (!width || !live.hello) return;
  const context = prepared(canvas, width, height);
  const one = shown.get(tile.dataset.camera);
  const size = span.live ? one?.header.size : past?.size ?? one?.header.size;
  if (!size) return;
  const scale = Math.min(width / size[0], height / size[1]);
  const [left, top] = [(width - scale * size[0]) / 2, (height - scale * size[1]) / 2];
  const place = ([x, y]) => [left + scale * x, top + scale * y];
  if (!span.live) {
    context.fillStyle = "#10151d";
    context.fillRect(left, top, scale * size[0], scale * size[1]);
    if (past && tile.dataset.camera === live.state.camera) drawPeople(context, past.people, place, width, height);
    return;
  }
  if (!one) return;
  context.drawImage(one.bitmap, left, top, scale * size[0], scale * size[1]);
  one.labels = drawPeople(context, one.header.people, place, width, height);
  tile.dataset.seq = one.header.seq;
  stage.style.setProperty("--ratio", size[0] / size[1]);
}

export function showPast(moment) {
  past = moment;
  drawAll();
}

function onClick(camera, event) {
  const labels = span.live ? (shown.get(camera)?.labels ?? []) : [];
  const hit = labels.find(
    ({ left, top, width, height }) =>
      event.offsetX >= left && event.offsetX <= left + width && event.offsetY >= top && event.offsetY <= top + height,
  );
  if (hit) nameSomebody(camera, hit.track, hit.letter);
  else if (looking.all) look(false, camera);
}

addEventListener("themechange", () => {
  colour("--line"); // asked for anew
  drawAll();
  tell("theme");
});

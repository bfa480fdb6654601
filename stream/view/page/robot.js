// The robot beside the pictures: it moves smoothly between messages, and is turned by dragging.

import { say } from "./connection.js";
import { byId, prepared, reducedMotion, setLabel, setText } from "./dom.js";
import { drawFigure } from "./figure.js";
import { on, tell, wordsOf } from "./session.js";

const LATE_MS = 90; // what is drawn is this old: there is a newer pose to move towards
const SILENT_MS = 3000;
const WORDS = { ready: "ready", acting: "acting", safe: "safe", lost: "lost" };

const panel = byId("robot");
const canvas = byId("robot-canvas");
const camera = { yaw: -0.4, pitch: 0.16, zoom: 1 };
let poses = []; // { at, points, bones }: the last second's
let robot = null;
let drawn = "";
let heardAt = -Infinity;

on("robot", (message) => {
  if (robot && robot.robot !== message.robot && performance.now() - heardAt < SILENT_MS && message.robot > robot.robot) {
    say({ seen: "robot" });
    return; // of several the first by name is shown
  }
  const appeared = panel.hidden;
  robot = message;
  heardAt = performance.now();
  panel.hidden = false;
  poses = [...poses.filter((pose) => heardAt - pose.at < 1000 && pose.points.length === message.points.length), { ...message, at: heardAt }];
  showWords();
  if (appeared) {
    tell("span"); // the pictures have less room
    requestAnimationFrame(animate);
  }
  say({ seen: "robot" });
});

on("closed", () => {
  panel.hidden = true;
  [poses, robot] = [[], null];
});

function showWords() {
  const { robot: name, state, behaviour, because, person, name: called, reacted_ms: reacted } = robot;
  const silent = performance.now() - heardAt > SILENT_MS;
  setText(byId("robot-name"), name);
  setText(byId("robot-state"), silent ? "silent" : WORDS[state]);
  byId("robot-state").dataset.state = silent ? "lost" : state;
  const what = behaviour ? wordsOf(behaviour) : state === "safe" ? "keeps still" : state === "lost" ? "not there" : "waits";
  const who = called || person;
  const lines = [what + (who && behaviour ? ` · for ${who}` : ""), because, reacted === null ? "" : `reacted in ${Math.round(reacted)} ms`];
  setText(byId("robot-words"), lines.filter(Boolean).join("\n"));
  setLabel(canvas, `The robot ${name}: ${WORDS[state]}, ${what}. Arrow keys turn it.`);
}

// Between two poses, where the time is.
function pose(at) {
  const newer = poses.findIndex((one) => one.at > at);
  if (newer <= 0) return newer === 0 ? poses[0].points : poses.at(-1).points;
  const [a, b] = [poses[newer - 1], poses[newer]];
  const share = (at - a.at) / (b.at - a.at);
  return a.points.map((point, i) => point.map((x, axis) => x + share * (b.points[i][axis] - x)));
}

function animate(now) {
  if (panel.hidden) return;
  requestAnimationFrame(animate);
  if (now - heardAt > SILENT_MS) showWords();
  if (document.hidden || !robot) return;
  const points = reducedMotion.matches ? robot.points : pose(now - LATE_MS);
  const { width, height } = panel.getBoundingClientRect();
  const key = JSON.stringify([points, camera, width, height, document.documentElement.dataset.theme, robot.state]);
  if (key === drawn) return; // nothing has moved
  drawn = key;
  const context = prepared(canvas, width, height);
  canvas.dataset.points = points.length;
  drawFigure(context, points, robot.bones, camera, width, height, robot.state);
}

// Turning it

let last = null;
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = [event.clientX, event.clientY];
};
canvas.onpointermove = (event) => {
  if (!last) return;
  turn((event.clientX - last[0]) / 140, (event.clientY - last[1]) / 200);
  last = [event.clientX, event.clientY];
};
canvas.onpointerup = canvas.onpointercancel = () => (last = null);
canvas.ondblclick = () => Object.assign(camera, { yaw: -0.4, pitch: 0.16, zoom: 1 });
canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    camera.zoom = Math.min(Math.max(camera.zoom * Math.exp(-event.deltaY / 500), 0.5), 3);
  },
  { passive: false },
);
canvas.onkeydown = (event) => {
  const [x, y] = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key] ?? [0, 0];
  if (!x && !y) return;
  event.preventDefault();
  event.stopPropagation();
  turn(x, y);
};

function turn(yaw, pitch) {
  camera.yaw += yaw;
  camera.pitch = Math.min(Math.max(camera.pitch + pitch, -0.2), 1.2);
}

// A robot's body from its joints: rounded, shaded limbs in perspective, the nearer in front of the farther.
//
// Points are metres, x forward, y to its left, z up. What is trunk, limb and head is read off the bones alone: where
// three or more meet is a hub; between hubs is the trunk; a short end above it, on a bone of its own, is a face.

import { colour } from "./dom.js";

const DISTANCE = 4.2; // metres from the eye to the middle of the body
const TRUNK = 0.108;
const LIMB = [0.074, 0.058, 0.046, 0.04]; // radius by how many bones it is away from a hub
const HEAD = 0.1;
const [ABOVE_PX, BELOW_PX] = [40, 84]; // for the words
const LIGHT = normal([0.45, 0.5, 0.85]);

export function drawFigure(context, points, bones, view, width, height, state) {
  const eye = eyeFor(points, view, width, height);
  drawFloor(context, eye);
  if (!points.length) return;
  const parts = partsOf(points, bones);
  const seen = parts.map((part) => ({ ...part, from: eye.project(part.a), to: eye.project(part.b) }));
  drawShadow(context, seen, eye);
  seen.sort((a, b) => b.from.depth + b.to.depth - a.from.depth - a.to.depth);
  for (const part of seen) drawPart(context, part, eye, state);
}

// How the bones hang together

let known = { bones: "", shape: null };

function shapeOf(points, bones) {
  const key = JSON.stringify(bones);
  if (known.bones === key) return known.shape;
  const next = points.map(() => []);
  for (const [a, b] of bones) (next[a].push(b), next[b].push(a));
  const hubs = new Set(next.flatMap((ends, i) => (ends.length >= 3 ? [i] : [])));
  const away = distances(next, hubs);
  const trunk = new Set();
  for (const start of hubs) for (const end of hubs) if (start < end) for (const i of path(next, start, end)) trunk.add(i);
  known = { bones: key, shape: { next, hubs, away, trunk } };
  return known.shape;
}

function distances(next, hubs) {
  const away = next.map((_, i) => (hubs.has(i) ? 0 : Infinity));
  const waiting = [...hubs];
  while (waiting.length) {
    const i = waiting.shift();
    for (const j of next[i]) if (away[j] === Infinity) (away[j] = away[i] + 1), waiting.push(j);
  }
  return away;
}

function path(next, start, end) {
  const came = new Map([[start, null]]);
  const waiting = [start];
  while (waiting.length && !came.has(end)) {
    const i = waiting.shift();
    for (const j of next[i]) if (!came.has(j)) came.set(j, i), waiting.push(j);
  }
  const found = [];
  for (let i = end; i !== null && i !== undefined; i = came.get(i)) found.push(i);
  return came.has(end) ? found : [];
}

function partsOf(points, bones) {
  const { next, hubs, away, trunk } = shapeOf(points, bones);
  const highest = Math.max(...[...hubs].map((i) => points[i][2]), -Infinity);
  const upper = [...hubs].find((i) => points[i][2] === highest);
  return bones.flatMap(([i, j]) => {
    const [near, far] = away[i] <= away[j] ? [i, j] : [j, i];
    const [a, b] = [points[near], points[far]];
    const length = Math.hypot(...a.map((x, axis) => x - b[axis]));
    const end = next[far].length === 1;
    if (end && length < 0.16 && away[far] === 2 && !trunk.has(near)) {
      return [{ kind: "head", a, b: a, towards: b, ra: HEAD, rb: HEAD }];
    }
    if (trunk.has(i) && trunk.has(j)) return [{ kind: "trunk", a, b, ra: TRUNK, rb: TRUNK * 0.94 }];
    if (near === upper && next[far].some((k) => k !== near && Math.hypot(...points[far].map((x, axis) => x - points[k][axis])) < 0.16 && next[k].length === 1)) {
      return [{ kind: "neck", a, b, ra: 0.05, rb: 0.045 }];
    }
    const step = Math.min(away[near], LIMB.length - 2);
    if (hubs.has(near)) return [{ kind: "trunk", a, b, ra: TRUNK * 0.8, rb: LIMB[0] * 1.1 }];
    const parts = [{ kind: "limb", a, b, ra: LIMB[step - 1] ?? LIMB[0], rb: LIMB[step] }];
    if (end) parts.push({ kind: "end", a: b, b, ra: LIMB[step] * 1.2, rb: LIMB[step] * 1.2 });
    return parts;
  });
}

// From where it is seen

function eyeFor(points, { yaw, pitch, zoom }, width, height) {
  const middle = points.length ? [0, 1].map((axis) => points.reduce((sum, p) => sum + p[axis], 0) / points.length) : [0, 0];
  const top = Math.max(...points.map((point) => point[2]), 1.5);
  const centre = [middle[0], middle[1], top / 2];
  const room = Math.max(height - ABOVE_PX - BELOW_PX, 80);
  const scale = zoom * Math.min(room / (top + 0.12), width / 1.5) * DISTANCE;
  // It stands before us, its face to us: its left is on our right.
  const angle = yaw + Math.PI;
  const [cy, sy, cp, sp] = [Math.cos(angle), Math.sin(angle), Math.cos(pitch), Math.sin(pitch)];
  return {
    centre,
    turn([x, y, z]) {
      const [dx, dy, dz] = [x - centre[0], y - centre[1], z - centre[2]];
      const forward = cy * dx + sy * dy;
      const side = sy * dx - cy * dy;
      return [side, cp * dz + sp * forward, cp * forward - sp * dz];
    },
    project(point) {
      const [side, up, depth] = this.turn(point);
      const size = scale / (DISTANCE + depth);
      return { x: width / 2 + size * side, y: ABOVE_PX + room / 2 - size * up, size, depth: DISTANCE + depth };
    },
  };
}

function drawFloor(context, eye) {
  context.lineWidth = 1;
  const [cx, cy] = [Math.round(2 * eye.centre[0]) / 2, Math.round(2 * eye.centre[1]) / 2];
  context.strokeStyle = colour("--floor");
  context.beginPath();
  for (let i = -3; i <= 3; i += 1) {
    for (const [from, to] of [[[cx + i / 2, cy - 1.5, 0], [cx + i / 2, cy + 1.5, 0]], [[cx - 1.5, cy + i / 2, 0], [cx + 1.5, cy + i / 2, 0]]]) {
      const [a, b] = [eye.project(from), eye.project(to)];
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
    }
  }
  context.stroke();
}

function drawShadow(context, parts, eye) {
  context.fillStyle = "#0000001c";
  for (const { a, b, ra } of parts) {
    const ends = [a, b].map(([x, y, z]) => eye.project([x - 0.18 * z, y - 0.12 * z, 0]));
    context.beginPath();
    for (const { x, y, size } of ends) context.ellipse(x, y, size * ra * 1.05, size * ra * 0.42, 0, 0, 7);
    context.fill();
  }
}

// Shading: a gradient across each limb, from the side that the light falls on

function drawPart(context, part, eye, state) {
  const { from, to, ra, rb, kind } = part;
  const [r1, r2] = [Math.max(from.size * ra, 1.5), Math.max(to.size * rb, 1.5)];
  const tone = { trunk: "--shell", neck: "--joint", head: "--shell", end: "--joint", limb: "--shell" }[kind];
  const [light, dark] = [colour(tone), colour(`${tone}-dark`)];
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy);
  // The farther away, the darker.
  const haze = Math.min(Math.max((from.depth + to.depth) / 2 - DISTANCE + 0.25, 0), 0.7) * 0.5;
  if (length < 0.5 * Math.abs(r1 - r2) + 0.5) {
    ball(context, r1 > r2 ? from : to, Math.max(r1, r2), light, dark, haze);
    if (kind === "head") drawFace(context, part, eye, from, r1, state);
    return;
  }
  let [nx, ny] = [-dy / length, dx / length];
  if (nx * LIGHT[0] - ny * LIGHT[2] < 0) [nx, ny] = [-nx, -ny]; // towards the light
  const most = Math.max(r1, r2);
  const gradient = context.createLinearGradient(from.x + nx * most, from.y + ny * most, from.x - nx * most, from.y - ny * most);
  gradient.addColorStop(0, light);
  gradient.addColorStop(0.38, light);
  gradient.addColorStop(1, dark);
  const angle = Math.atan2(dy, dx);
  const lean = Math.acos(Math.min(Math.max((r1 - r2) / length, -1), 1));
  context.beginPath();
  context.arc(from.x, from.y, r1, angle + lean, angle - lean + 2 * Math.PI);
  context.arc(to.x, to.y, r2, angle - lean, angle + lean);
  context.closePath();
  paint(context, gradient, haze);
}

function ball(context, { x, y }, radius, light, dark, haze) {
  const gradient = context.createRadialGradient(x + 0.35 * radius, y - 0.4 * radius, 0.1 * radius, x, y, radius);
  gradient.addColorStop(0, light);
  gradient.addColorStop(0.45, light);
  gradient.addColorStop(1, dark);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  paint(context, gradient, haze);
}

function paint(context, gradient, haze) {
  context.fillStyle = gradient;
  context.fill();
  if (haze > 0.01) {
    context.fillStyle = colour("--haze");
    context.globalAlpha = haze;
    context.fill();
    context.globalAlpha = 1;
  }
  context.strokeStyle = colour("--edge");
  context.lineWidth = 1;
  context.stroke();
}

// A visor where the face is, if it is turned this way; its light says how the robot is.
function drawFace(context, { a, towards }, eye, at, radius, state) {
  const look = normal(towards.map((x, axis) => x - a[axis]));
  const [side, up, depth] = eye.turn(look.map((x, axis) => x + eye.centre[axis]));
  if (depth > 0.1) return; // it looks away
  const centre = { x: at.x + 0.62 * radius * side, y: at.y - 0.5 * radius * up - 0.02 * radius };
  const [wide, high] = [radius * (0.3 + 0.42 * Math.max(-depth, 0)), radius * 0.34];
  context.save();
  context.beginPath();
  context.arc(at.x, at.y, radius, 0, 7);
  context.clip();
  context.fillStyle = colour("--visor");
  context.beginPath();
  context.roundRect(centre.x - wide, centre.y - high, 2 * wide, 2 * high, high);
  context.fill();
  context.fillStyle = colour({ acting: "--accent", ready: "--good", safe: "--warn", lost: "--bad" }[state] ?? "--accent");
  for (const eyeSide of [-1, 1]) {
    context.beginPath();
    context.ellipse(centre.x + eyeSide * 0.48 * wide, centre.y, 0.16 * wide, 0.42 * high, 0, 0, 7);
    context.fill();
  }
  context.restore();
}

function normal(vector) {
  const length = Math.hypot(...vector) || 1;
  return vector.map((x) => x / length);
}

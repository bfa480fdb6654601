// Two small charts of the last five minutes: how late decisions were, and what was dropped.

import { colour, element, fill, FONT, prepared, setLabel, setText } from "./dom.js";

const HEIGHT = 92;
const LEFT = 34;
const AXIS = 15;
const SERIES = ["--accent", "--warn", "--bad", "--good", "--soft"];
const DASHES = [[], [4, 3], [1.5, 3], [8, 3], [2, 2, 6, 2]];

function frame(canvas, most) {
  const width = canvas.clientWidth;
  canvas.style.height = `${HEIGHT}px`;
  const context = prepared(canvas, width, HEIGHT);
  const [bottom, top] = [HEIGHT - AXIS, 6];
  const yOf = (value) => bottom - (value / most) * (bottom - top);
  context.font = `10.5px ${FONT}`;
  context.textBaseline = "middle";
  for (const value of [0, most / 2, most]) {
    context.fillStyle = colour("--line");
    context.fillRect(LEFT, Math.round(yOf(value)), width - LEFT, 1);
    context.fillStyle = colour("--soft");
    context.textAlign = "right";
    context.fillText(String(value), LEFT - 6, yOf(value));
  }
  context.textBaseline = "alphabetic";
  for (const [share, text] of [[0, "−5 min"], [0.5, "−2.5 min"], [1, "now"]]) {
    context.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    context.fillText(text, LEFT + share * (width - LEFT), HEIGHT - 2);
  }
  return { context, yOf, xOf: (i, count) => LEFT + ((i + 1) / count) * (width - LEFT) };
}

// A round number that is at least so large, and its half is round, too.
function roundUp(value) {
  const scale = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * scale).find((round) => round >= value);
}

function line(context, values, xOf, yOf, style, dash) {
  context.strokeStyle = style;
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.setLineDash(dash);
  context.beginPath();
  values.forEach((value, i) => {
    if (value === null) return;
    const known = i > 0 && values[i - 1] !== null;
    context[known ? "lineTo" : "moveTo"](xOf(i, values.length), yOf(value));
    if (!known) context.lineTo(xOf(i, values.length) + 1, yOf(value));
  });
  context.stroke();
  context.setLineDash([]);
}

export function drawLatency(canvas, { p50, p95 }) {
  const known = [...p50, ...p95].filter((value) => value !== null);
  const { context, xOf, yOf } = frame(canvas, Math.max(roundUp(Math.max(...known, 0)), 10));
  line(context, p95, xOf, yOf, colour("--soft"), [4, 3]);
  line(context, p50, xOf, yOf, colour("--accent"), []);
  const last = p50.findLastIndex((value) => value !== null);
  const words = last < 0 ? "nothing was decided" : `at last ${p50[last]} ms, 95 % within ${p95[last]} ms; at most ${Math.max(...known)} ms`;
  setLabel(canvas, `Latency of the last five minutes: ${words}`);
}

export function drawDrops(canvas, key, { drops }) {
  const stages = Object.keys(drops).slice(0, SERIES.length);
  const most = roundUp(Math.max(...stages.flatMap((stage) => drops[stage]), 2));
  const { context, xOf, yOf } = frame(canvas, most);
  stages.forEach((stage, i) => line(context, drops[stage], xOf, yOf, colour(SERIES[i]), DASHES[i]));
  fill(key, stages.length ? stages : ["nothing"], () => element("span"), (node, stage, i) => {
    setText(node, stage);
    node.className = stages.length ? `series-${i}` : "";
  });
  const words = stages.map((stage) => `${stage} ${drops[stage].reduce((sum, count) => sum + count, 0)}`).join(", ");
  setLabel(canvas, `Dropped in the last five minutes: ${words || "nothing"}`);
}

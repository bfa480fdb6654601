// Skeletons and their labels, drawn onto a picture.

import { FONT, percent } from "./dom.js";
import { colourOf, DARK, drawSwatch, outlined } from "./marks.js";
import { className, live } from "./session.js";

const SURE = 0.3; // joints that are less certain than this are not drawn
const LABEL_PX = 34;
const LABEL_FONT = `600 13.5px ${FONT}`;

// Draw people; `place` maps a pixel of the original picture to the canvas. Returns the labels' boxes, to click on.
export function drawPeople(context, people, place, width, height) {
  const labels = people.map((person) => {
    const points = person.pixels.map(place);
    drawSkeleton(context, points, person.confidence, colourOf(person.person), Math.min(Math.max(height / 420, 0.55), 1));
    return labelFor(person, points);
  });
  placeLabels(context, labels, width, height).forEach((label) => drawLabel(context, label));
  return labels;
}

// In a small picture the lines are thinner.
function drawSkeleton(context, points, confidence, colour, scale) {
  const bones = live.hello.bones.filter(([a, b]) => confidence[a] >= SURE && confidence[b] >= SURE);
  context.lineCap = "round";
  // A dark edge under every bone: it is seen on a white wall and on a black coat.
  for (const [width, style] of [[6.5, "#06080ccc"], [3.5, colour]]) {
    context.lineWidth = scale * width;
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
    context.arc(x, y, 4.2 * scale, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = DARK;
    context.stroke();
  });
}

function labelFor(person, points) {
  const [head, neck] = ["Head", "SpineShoulder"].map((joint) => points[live.hello.joints.indexOf(joint)]);
  const action = person.action === undefined ? "" : person.action === null ? "watching…" : className(person.action);
  return {
    track: person.track,
    letter: person.person,
    text: [person.name, action].filter(Boolean).join(" · "),
    share: person.share ?? 0,
    number: person.share ? percent(person.share) : "",
    x: head[0],
    y: head[1] - 0.75 * Math.hypot(head[0] - neck[0], head[1] - neck[1]) - 10,
  };
}

// Give every label its box: centred over the head, inside the picture's frame, none on another.
function placeLabels(context, labels, width, height) {
  context.font = LABEL_FONT;
  const placed = [];
  for (const label of labels.sort((a, b) => b.y - a.y)) {
    const words = label.text ? 8 + context.measureText(label.text).width : 0;
    label.width = 34 + words + (label.number ? 10 + context.measureText(label.number).width : 0);
    label.height = LABEL_PX;
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

function drawLabel(context, { letter, text, number, share, left, top, width }) {
  const colour = colourOf(letter);
  context.fillStyle = "#0b0e13e6";
  context.beginPath();
  context.roundRect(left, top, width, LABEL_PX, 9);
  context.fill();
  drawSwatch(context, letter, left + 7, top + 5, 20, 18, 5);
  context.font = `750 12px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  outlined(context, letter, left + 17, top + 14.5, colour);
  context.font = LABEL_FONT;
  context.textAlign = "left";
  context.fillStyle = "#fff";
  context.fillText(text, left + 34, top + 14.5);
  if (number) {
    context.textAlign = "right";
    context.fillStyle = "#c5cfdb";
    context.fillText(number, left + width - 8, top + 14.5);
  }
  if (!share) return;
  context.fillStyle = "#ffffff2e";
  context.fillRect(left + 8, top + LABEL_PX - 7, width - 16, 3);
  context.fillStyle = colour;
  context.fillRect(left + 8, top + LABEL_PX - 7, (width - 16) * share, 3);
}

// How people are told apart: a letter, a pattern and a colour, so that no eye depends on one of them.

import { element } from "./dom.js";

const COLOURS = ["#38bdf8", "#fbbf24", "#4ade80", "#f472b6", "#a78bfa", "#fb923c", "#2dd4bf", "#e5e7eb"];
const PATTERNS = 4; // plain, stripes, dots, crosses; page.css has the same ones
export const DARK = "#06080c";

const personIndex = (letter) => letter.charCodeAt(0) - 65 + 26 * (Number(letter.slice(1) || 1) - 1);
export const colourOf = (letter) => COLOURS[personIndex(letter) % COLOURS.length];
export const patternOf = (letter) => personIndex(letter) % PATTERNS;

export function mark(node, letter) {
  const wanted = `pattern-${patternOf(letter)}`;
  if (node.dataset.letter === letter) return;
  node.dataset.letter = letter;
  node.className = node.className.replace(/ ?pattern-\d/, "") + ` ${wanted}`;
  node.style.setProperty("--person", colourOf(letter));
  node.textContent = letter;
}

export function badge(small) {
  return element("span", `badge${small ? " small" : ""}`);
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

export function drawSwatch(context, letter, left, top, width, height, radius) {
  if (width < 5) {
    context.fillStyle = colourOf(letter);
    context.fillRect(left, top, width, height);
    return;
  }
  const pattern = context.createPattern(patternTile(letter), "repeat");
  pattern.setTransform(new DOMMatrix([0.5, 0, 0, 0.5, left, top]));
  context.fillStyle = pattern;
  context.beginPath();
  context.roundRect(left, top, width, height, radius);
  context.fill();
}

// The letter on its own pattern stays readable with a rim of the person's colour.
export function outlined(context, text, x, y, rim, width = 3.5) {
  context.lineWidth = width;
  context.lineJoin = "round";
  context.strokeStyle = rim;
  context.strokeText(text, x, y);
  context.fillStyle = DARK;
  context.fillText(text, x, y);
}

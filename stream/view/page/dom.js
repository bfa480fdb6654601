// Small things that every part of the page needs.

export const byId = (id) => document.getElementById(id);
export const percent = (share) => `${Math.round(100 * share)} %`;
export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
export const FONT = "system-ui, -apple-system, sans-serif";

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function button(className, text, act) {
  const made = element("button", className, text);
  made.type = "button";
  made.onclick = act;
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setLabel(node, text) {
  if (node.getAttribute("aria-label") !== text) node.setAttribute("aria-label", text);
}

// Make `list` have one child for every item, made by `make` and brought up to date by `update`.
export function fill(list, items, make, update) {
  while (list.children.length > items.length) list.lastChild.remove();
  while (list.children.length < items.length) list.append(make());
  items.forEach((item, i) => update(list.children[i], item, i));
}

// A canvas with as many pixels as the screen has for it; drawn in CSS pixels.
export function prepared(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2); // more than that no eye sees, and a weak phone feels
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Colours of the stylesheet, for canvases; asked for once a theme.
let colours = new Map();
addEventListener("themechange", () => (colours = new Map()));

export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}

// What this browser remembers.
export const kept = {
  get(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(name);
      else localStorage.setItem(name, value);
    } catch {
      // then it is forgotten with the tab
    }
  },
};

// A line for everybody, for some seconds.
let toastTimer = 0;

export function toast(line) {
  const node = byId("toast");
  node.textContent = line;
  node.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (node.hidden = true), 6000);
}

// Dark or light, before anything is drawn: what was chosen here before, else what the system prefers.

"use strict";

const system = matchMedia("(prefers-color-scheme: light)");

function readTheme() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // a browser that keeps nothing
  }
}

function applyTheme() {
  document.documentElement.dataset.theme = readTheme() ?? (system.matches ? "light" : "dark");
  dispatchEvent(new Event("themechange"));
}

system.addEventListener("change", applyTheme);
addEventListener("storage", applyTheme); // another tab has chosen
applyTheme();

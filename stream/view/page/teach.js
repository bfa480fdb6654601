// Teaching a new action: what the lesson wants next, what came of it, and what has been taught.

import { say } from "./connection.js";
import { button, byId, element, fill, setText, toast } from "./dom.js";
import { callOf, live, on, wordsOf } from "./session.js";

const PATIENCE_MS = 4000;
const STATES = {
  "get ready": "Get ready…",
  "show it": "Show it now",
  seen: "Seen",
  learning: "Learning…",
  failed: "That did not work",
  idle: "Done",
};
const dialog = byId("teaching");
const refused = byId("lesson-refused");
let began = 0; // when this tab asked for a lesson that nobody has answered yet
let began_at = null;
let editing = null; // the action whose name is being changed

export function teach() {
  if (dialog.open) return dialog.close();
  say_refused("");
  showWho();
  dialog.showModal();
  byId("lesson-action").focus();
  show();
}

byId("teach").onclick = teach;
byId("teaching-close").onclick = () => dialog.close();

function say_refused(line) {
  setText(refused, line);
  refused.hidden = !line;
}

on("refused", ({ line }) => {
  if (!dialog.open) return;
  [began] = [0];
  say_refused(line);
});

function ask(request) {
  say_refused("");
  say({ do: "teach", ...request });
}

function showWho() {
  const people = live.state?.people ?? [];
  const choices = [{ track: null, text: "whoever is nearest" }, ...people.map(({ track, person }) => ({ track, text: callOf(track, person) }))];
  fill(byId("lesson-who"), choices, () => element("option"), (option, { track, text }) => {
    option.value = track ?? "";
    setText(option, text);
  });
}

byId("lesson-form").onsubmit = (event) => {
  event.preventDefault();
  const who = byId("lesson-who").value;
  const before = live.state?.camera ? { camera: live.state.camera } : {};
  began = performance.now();
  began_at = live.taught;
  const shots = Math.min(Math.max(Math.round(Number(byId("lesson-shots").value)) || 5, 1), 20);
  ask({ op: "begin", action: byId("lesson-action").value, shots, ...before, ...(who ? { track: Number(who) } : {}) });
  setTimeout(show, PATIENCE_MS + 100);
};
byId("lesson-again").onclick = () => ask({ op: "again" });
byId("lesson-cancel").onclick = () => ask({ op: "cancel" });

function show() {
  const lesson = live.taught;
  if (began && lesson !== began_at) began = 0;
  if (began && performance.now() - began > PATIENCE_MS) {
    began = 0;
    say_refused("Nobody here can learn: start everything with `skelstream live`.");
  }
  const runs = lesson !== null && !["idle", "failed"].includes(lesson.state);
  byId("lesson-form").hidden = runs;
  byId("lesson").hidden = !runs && !lesson?.message;
  byId("teach").classList.toggle("busy", runs);
  if (lesson) showLesson(lesson, runs);
  showTaught(lesson?.actions ?? []);
}

function showLesson({ state, action, shown, shots, message }, runs) {
  const of = shots && runs ? ` ${Math.min(shown + (state === "show it" ? 1 : 0), shots) || ""}${shown || state === "show it" ? `/${shots}` : ""}` : "";
  setText(byId("lesson-state"), `${STATES[state]}${["show it", "seen"].includes(state) ? of : ""}`);
  byId("lesson").dataset.state = state;
  setText(byId("lesson-message"), [runs && action ? `“${wordsOf(action)}”` : "", message].filter(Boolean).join(" · "));
  const steps = Array.from({ length: runs ? shots : 0 }, (_, i) => i);
  fill(byId("lesson-shown"), steps, () => element("li"), (item, i) => {
    item.className = i < shown ? "done" : i === shown && state === "show it" ? "now" : "";
    setText(item, i < shown ? "✓" : String(i + 1));
  });
  byId("lesson-again").hidden = !runs || state === "learning" || shown === 0;
  byId("lesson-cancel").hidden = !runs;
}

// Renaming and forgetting

function showTaught(actions) {
  byId("no-taught").hidden = actions.length > 0;
  if (editing !== null && actions.includes(editing)) return; // it would take the field from under the fingers
  editing = null;
  const make = () => {
    const item = element("li");
    item.append(element("span", "name"), button("plain", "Rename", () => edit(item)), button("plain forget", "Forget", () => forget(item)));
    return item;
  };
  fill(byId("taught"), actions, make, (item, action) => {
    if (item.children.length !== 3) item.replaceChildren(...make().children);
    if (item.dataset.action !== action) setText(item.children[2], "Forget");
    item.dataset.action = action;
    setText(item.children[0], wordsOf(action));
    item.children[1].onclick = () => edit(item);
    item.children[2].onclick = () => forget(item);
    item.children[1].setAttribute("aria-label", `Rename ${wordsOf(action)}`);
    item.children[2].setAttribute("aria-label", `Forget ${wordsOf(action)}`);
  });
}

function edit(item) {
  const { action } = item.dataset;
  editing = action;
  const field = element("input");
  Object.assign(field, { type: "text", maxLength: 40, value: wordsOf(action) });
  field.setAttribute("aria-label", `New name of ${wordsOf(action)}`);
  const done = () => {
    editing = null;
    show();
  };
  const set = () => {
    if (field.value.trim() && field.value.trim() !== wordsOf(action)) ask({ op: "rename", action, to: field.value });
    done();
  };
  field.onkeydown = (event) => {
    if (event.key === "Enter") set();
    else if (event.key === "Escape") done();
    else return;
    event.preventDefault();
  };
  item.replaceChildren(field, button("plain strong", "Set", set), button("plain", "Cancel", done), element("span"));
  field.select();
}

// Asked twice: what is forgotten has to be shown again.
function forget(item) {
  const node = item.children[2];
  if (node.textContent !== "Really?") return setText(node, "Really?");
  setText(node, "Forget");
  ask({ op: "forget", action: item.dataset.action });
}

let lastState = "idle";
on("taught", () => {
  const { state, action } = live.taught;
  if (state === "idle" && lastState === "learning" && !dialog.open) toast(`“${wordsOf(action || live.taught.actions.at(-1) || "")}” is learnt.`);
  lastState = state;
  show();
});
on("closed", () => (live.taught = null));

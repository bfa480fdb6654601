// Who is there, what they do, and how likely every action is, as it moves.

import { say } from "./connection.js";
import { byId, element, fill, percent, setLabel, setText } from "./dom.js";
import { badge, colourOf, mark } from "./marks.js";
import { nameSomebody } from "./naming.js";
import { className, live, on, UNKNOWN } from "./session.js";

const list = byId("people");
const GLIMPSED_MS = 1000; // without any for so long, what was decided is shown instead
let open = null; // whose bars are shown; null: the first's
let glimpsedAt = -Infinity;

// Bars are sent only while somebody looks at them.
let wanting = "";
export const wants = { charts: false };

export function want() {
  const wanted = { do: "want", bars: !document.hidden && Boolean(live.state?.people.length), charts: !document.hidden && wants.charts };
  if (JSON.stringify(wanted) === wanting) return;
  wanting = JSON.stringify(wanted);
  say(wanted);
}

on("open", () => {
  wanting = "";
  want();
});
addEventListener("visibilitychange", want);

on("bars", () => {
  glimpsedAt = performance.now();
  showBars();
});

on("state", () => {
  showPeople();
  showBars();
  want();
});
on("tuned", () => live.state && showBars());

function makePerson() {
  const item = element("li", "person");
  const what = element("div", "what");
  const called = element("button", "called");
  called.type = "button";
  called.append(badge(), element("span", "name"));
  const toggle = element("button", "fold");
  toggle.type = "button";
  what.append(called, element("span", "share"), toggle);
  item.append(what, element("p", "action"), element("p", "since"), element("ul", "bars"));
  return item;
}

function showPeople() {
  const { people, t, status, camera } = live.state;
  byId("no-people").hidden = people.length > 0;
  const nobody = { waiting: "Nobody yet.", lost: "The camera sees nobody." };
  setText(byId("no-people"), nobody[status] ?? "Nobody in the picture.");
  if (!people.some((person) => person.track === open)) open = null;
  fill(list, people, makePerson, (item, person, i) => {
    const [what, action, since, bars] = item.children;
    const [called, share, toggle] = what.children;
    const shown = person.track === open || (open === null && i === 0);
    item.dataset.track = person.track;
    item.style.setProperty("--person", colourOf(person.person));
    item.classList.toggle("idle", !person.action);
    item.classList.toggle("unknown", person.action === UNKNOWN);
    mark(called.firstChild, person.person);
    setText(called.lastChild, person.name || "name…");
    called.classList.toggle("nameless", !person.name);
    setLabel(called, `Person ${person.person}${person.name ? `, ${person.name}` : ""}: set a name`);
    called.onclick = () => nameSomebody(camera, person.track, person.person);
    setText(action, person.action === null ? "watching…" : className(person.action));
    setText(share, person.action === null ? "" : percent(person.confidence));
    setText(since, person.action === null ? "\u00a0" : `for ${Math.max(0, t - person.since).toFixed(1)} s`);
    toggle.hidden = people.length < 2;
    setText(toggle, shown ? "▾" : "▸");
    setLabel(toggle, `Every action of person ${person.person}`);
    toggle.setAttribute("aria-expanded", shown);
    toggle.onclick = () => {
      open = person.track;
      showPeople();
      showBars();
    };
    bars.hidden = !shown;
  });
  announce(people);
}

function makeBar() {
  const item = element("li");
  const bar = element("span", "bar");
  bar.append(element("i"), element("b", "threshold"));
  item.append(element("span", "name"), bar, element("span", "number"));
  return item;
}

// In the order of the classes, which never changes: an eye finds each action where it was.
function showBars() {
  const fresh = performance.now() - glimpsedAt < GLIMPSED_MS ? live.bars.people : {};
  const tuned = live.tuned ?? { enter: 0, actions: {} };
  const actions = live.hello.classes.map((_, index) => index).slice(1);
  for (const item of list.children) {
    const bars = item.lastChild;
    if (bars.hidden) continue;
    const person = live.state.people.find((one) => String(one.track) === item.dataset.track);
    const decided = new Map(person.top);
    const shares = fresh[person.track];
    bars.classList.toggle("two", actions.length > 10);
    fill(bars, actions, makeBar, (row, index) => {
      const share = shares ? (shares[index] ?? 0) : (decided.get(index) ?? 0);
      const shift = tuned.actions[live.hello.classes[index]] ?? 0;
      const threshold = Math.min(Math.max((live.hello.marks[index] ?? 0.5) + tuned.enter + shift, 0.01), 0.99);
      row.classList.toggle("current", index === person.action);
      row.classList.toggle("over", share >= threshold && shift < 1);
      row.classList.toggle("silent", shift >= 1);
      setText(row.children[0], className(index));
      row.title = `${className(index)} ${percent(share)}; believed from ${percent(threshold)} on`;
      row.children[1].firstChild.style.transform = `scaleX(${share.toFixed(3)})`;
      row.children[1].lastChild.style.left = `${100 * threshold}%`;
      setText(row.children[2], shift >= 1 ? "off" : String(Math.round(100 * share)));
    });
  }
}

let announced = "";
let announcedAt = -Infinity;

// Spoken only when an action changed, and at most once a second.
function announce(people) {
  const words = people.filter((p) => p.action !== null).map((p) => `${p.name || p.person}: ${className(p.action)}`).join(", ");
  if (words === announced || performance.now() - announcedAt < 1000) return;
  [announced, announcedAt] = [words, performance.now()];
  byId("spoken").textContent = words;
}

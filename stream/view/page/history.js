// The runs that are known of the camera in focus: the server's past, fetched once, and what the states add since.

import { say } from "./connection.js";
import { showPast } from "./picture.js";
import { live, names, on, tell } from "./session.js";
import { span } from "./span.js";

const MOST = 6000;

// `dark`: of the moment that is looked at no skeleton is kept.
export const past = { runs: [], from: null, seen: null, dark: false };
let fetched = false;

on("camera", () => {
  Object.assign(past, { runs: [], from: null, seen: null });
  fetched = false;
  span.back();
  say({ do: "past" });
});
on("open", () => {
  if (live.state) say({ do: "past" });
});
on("hello", () => {
  if (fetched) say({ do: "past" }); // what it calls the actions may have changed
});

on("past", (message) => {
  if (message.camera !== live.state?.camera) return;
  fetched = true;
  for (const [track, name] of Object.entries(message.names)) names.set(Number(track), name);
  const runs = message.runs.map(([track, person, action, start, end, confidence]) => ({ track, person, action, start, end, confidence }));
  Object.assign(past, { runs, from: message.runs_from, seen: message.seen });
  tell("runs");
});

// A state says all of its window anew: what of it was known before is replaced.
on("state", (state) => {
  const oldest = state.t - live.hello.window_s;
  let end = past.runs.length;
  while (end > 0 && past.runs[end - 1].end > oldest) end -= 1;
  past.runs.length = end;
  past.runs.push(...state.runs.slice().sort((a, b) => a.end - b.end));
  if (past.runs.length > MOST) past.from = past.runs.splice(0, past.runs.length - MOST)[0].end;
  const first = past.runs.length ? past.runs[0].start : state.t;
  const since = Math.min(first, past.seen?.[0] ?? first, oldest);
  span.from = Math.max(past.from ?? since, state.t - live.hello.past_s, Math.min(0, first));
  span.most = live.hello.past_s;
  tell("runs");
});

// Skeletons of the moment that is looked at, ten a second at most.

let asked = null;
let waiting = 0;

function ask() {
  waiting = 0;
  if (span.live || span.moment === asked) return;
  asked = span.moment;
  say({ do: "moment", t: span.moment });
}

on("span", () => {
  if (span.live) {
    asked = null;
    showPast(null);
  } else waiting ||= setTimeout(ask, 100);
});

on("moment", ({ asked: t, moment }) => {
  if (span.live || Math.abs(t - span.moment) > 30) return;
  past.dark = moment === null;
  showPast(moment && { ...moment, people: moment.people.map((one) => ({ ...one, name: names.get(one.track) ?? "", ...doing(one, moment.t) })) });
  tell("runs");
});

// What they did then, as far as it is known.
function doing({ track }, t) {
  const run = past.runs.find((one) => one.track === track && one.start <= t && t < one.end);
  return run ? { action: run.action, share: run.confidence } : {};
}

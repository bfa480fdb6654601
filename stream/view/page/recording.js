// Start and stop of a recording, and what becomes of it.

import { say } from "./connection.js";
import { byId, setLabel, setText, toast } from "./dom.js";
import { live, on } from "./session.js";

const PATIENCE_MS = 5000;
const ANSWER_MS = 1500; // reports come twice a second: what still says that it failed has failed again
const toggle = byId("record");
let asked = null; // what was asked for last, until it is so
let askedAt = 0;
let failed = null; // the process that had failed when it was asked for
let told = "";

const ours = () => live.stages.findLast((stage) => stage.stage === "record@page");
const runs = (stage) => stage && ["starting", "ready", "stale"].includes(stage.state);

export function toggleRecording() {
  if (asked) return;
  asked = runs(ours()) ? "stop" : "start";
  askedAt = performance.now();
  failed = ours()?.state === "failed" ? ours().pid : null;
  told = "";
  say({ do: "record", op: asked });
  for (const later_ms of [0, ANSWER_MS + 100, PATIENCE_MS + 100]) setTimeout(show, later_ms);
}

toggle.onclick = toggleRecording;

function show() {
  const stage = ours();
  const others = live.stages.filter((one) => /^record(?!@page)/.test(one.stage) && runs(one));
  const active = runs(stage);
  const written = stage?.message.startsWith("writes ") ? stage.message.slice("writes ".length) : "";
  if (asked === "start" && active && written) {
    toast(`Recording to recordings/${written}`);
    asked = null;
  } else if (asked === "stop" && !active) {
    toast("The recording is finished.");
    asked = null;
  }
  const answered = stage?.pid !== failed || performance.now() - askedAt > ANSWER_MS;
  if (asked && stage?.state === "failed" && answered) {
    toast(stage.message);
    asked = null;
  }
  if (asked && performance.now() - askedAt > PATIENCE_MS) {
    toast("Nobody here can record for you: start everything with `skelstream live`, or record with `skelstream record FILE`.");
    asked = null;
  }
  toggle.dataset.state = active ? "on" : asked ? "asked" : "off";
  toggle.disabled = asked !== null;
  const length = active ? lengthOf(stage.gauges.recording_s ?? 0) : "";
  const size = active ? `${(stage.gauges.recorded_mb ?? 0).toFixed(1)} MB` : "";
  setText(byId("record-text"), active ? `${length} · ${size}` : asked ? "…" : "Record");
  setLabel(toggle, active ? `Stop the recording, ${length}, ${size}` : "Start a recording");
  toggle.setAttribute("aria-pressed", Boolean(active));
  const trouble = active && !written ? stage.message : "";
  if (trouble && trouble !== told) toast((told = trouble));
  toggle.classList.toggle("trouble", Boolean(trouble));
  const since = active ? `since ${new Date(Date.now() - 1000 * (stage.gauges.recording_s ?? 0)).toLocaleTimeString()}` : "";
  toggle.title = [since, trouble, ...others.map((one) => `${one.stage} ${one.message}`)].filter(Boolean).join("\n");
}

const lengthOf = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

on("stages", show);

// How the pipeline is: numbers of now, every stage, and the last minutes as charts.

import { drawDrops, drawLatency } from "./charts.js";
import { byId, element, fill, setText } from "./dom.js";
import { want, wants } from "./people.js";
import { live, on } from "./session.js";

const SIGNS = { starting: "…", ready: "✓", stale: "!", ended: "■", failed: "✕", silent: "?" };
const QUIET = new Set(["memory_mb", "cpu_s", "age_s", "recorded_mb", "recording_s"]); // shown elsewhere

on("state", ({ fps, pose_fps: poseFps, latency }) => {
  setText(byId("fps"), fps === null ? "–" : fps.toFixed(1));
  setText(byId("pose-fps"), poseFps === null ? "no pose" : `pose ${poseFps.toFixed(1)}`);
  setText(byId("p50"), latency ? latency.p50_ms.toFixed(0) : "–");
  setText(byId("p95"), latency ? `p95 ${latency.p95_ms.toFixed(0)}` : "no decision");
});

on("stages", () => {
  const drops = live.stages.reduce((sum, one) => sum + one.drops, 0);
  const growing = live.stages.some((one) => one.dropping);
  setText(byId("drops"), String(drops));
  setText(byId("dropping"), growing ? "▲ falling behind" : "keeping up");
  byId("dropped").classList.toggle("growing", growing);
  const ill = live.stages.filter((one) => ["failed", "silent", "stale"].includes(one.state));
  byId("health-mark").hidden = ill.length === 0;
  byId("health-mark").title = ill.map((one) => `${one.stage}: ${one.state}`).join(", ");
  showStages();
});

function gaugeText(stageName, gauge, value) {
  const name = gauge.startsWith(`${stageName}_`) ? gauge.slice(stageName.length) : `_${gauge}`;
  const unit = name.match(/_(ms|s|hz|fps|mb)$/);
  const number = Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toFixed(1)).toString();
  const measure = unit ? `${number} ${unit[1] === "mb" ? "MB" : unit[1]}` : number;
  const words = unit ? name.slice(1, Math.max(1, unit.index)) : name.slice(1);
  return { measure, full: `${words} ${measure}`.trim().replaceAll("_", " ") };
}

function showStages() {
  byId("no-stages").hidden = live.stages.length > 0;
  const make = () => {
    const item = element("li");
    for (const part of ["sign", "name", "detail", "cpu", "memory", "lost"]) item.append(element("span", part));
    return item;
  };
  fill(byId("stages"), live.stages, make, (item, one) => {
    item.className = one.state + (one.dropping ? " dropping" : "");
    const measured = Object.entries(one.gauges).filter(([name]) => !QUIET.has(name));
    const gauges = measured.map(([name, value]) => gaugeText(one.stage, name, value));
    const age = one.state === "stale" && one.age_s !== null ? `no frame for ${one.age_s.toFixed(1)} s` : "";
    const again = one.restarts ? `started again ${one.restarts}×` : "";
    const now = one.state === "ready" ? gauges.slice(0, 1).map((gauge) => gauge.measure) : [one.state, age, one.message];
    const [sign, name, detail, cpu, memory, lost] = item.children;
    setText(sign, SIGNS[one.state]);
    sign.setAttribute("aria-label", one.state);
    setText(name, one.stage);
    setText(detail, [...now, again].filter(Boolean).join(" · "));
    setText(cpu, one.cpu === null ? "" : `${Math.round(100 * one.cpu)} %`);
    cpu.title = "of one core";
    setText(memory, one.gauges.memory_mb === undefined ? "" : `${one.gauges.memory_mb.toFixed(0)} MB`);
    setText(lost, one.drops ? `${one.dropping ? "▲" : ""}−${one.drops}` : "");
    lost.title = `${one.drops} dropped`;
    item.title = [`process ${one.pid}`, ...gauges.map((gauge) => gauge.full), one.message].filter(Boolean).join("\n");
  });
}

// Charts are sent only while they are seen.

export function showHealth(shown) {
  wants.charts = shown;
  want();
}

const redraw = () => {
  if (!wants.charts || !live.trends) return;
  drawLatency(byId("latency-chart"), live.trends);
  drawDrops(byId("drop-chart"), byId("drop-key"), live.trends);
};

on("trends", redraw);
on("theme", redraw);

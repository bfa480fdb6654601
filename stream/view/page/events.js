// The log of what happened; a click looks at that moment.

import { byId, element, fill, percent, setText } from "./dom.js";
import { badge, mark } from "./marks.js";
import { live, on, wordsOf } from "./session.js";
import { span } from "./span.js";

on("log", () => {
  const entries = live.log.slice().reverse();
  byId("no-events").hidden = entries.length > 0;
  const make = () => {
    const item = element("li");
    const row = element("button", "event");
    row.type = "button";
    row.append(element("span", "time"), badge(true), element("span", "name"), element("span", "length"));
    item.append(row);
    return item;
  };
  fill(byId("events"), entries, make, (item, entry) => {
    const [time, letter, name, length] = item.firstChild.children;
    const minutes = Math.floor(entry.t_start / 60);
    item.classList.toggle("ongoing", entry.t_end === null);
    setText(time, `${minutes}:${(entry.t_start - 60 * minutes).toFixed(1).padStart(4, "0")}`);
    mark(letter, entry.person);
    setText(name, `${entry.name ? `${entry.name} ` : ""}${wordsOf(entry.action)}`);
    setText(length, entry.t_end === null ? "now" : `${(entry.t_end - entry.t_start).toFixed(1)} s`);
    item.title = `${percent(entry.confidence)} sure; decided ${entry.latency_ms.toFixed(0)} ms after the camera saw it`;
    item.firstChild.onclick = () => span.look(entry.t_start + 0.3 * ((entry.t_end ?? entry.t_start) - entry.t_start));
  });
});

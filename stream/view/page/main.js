// The live page: puts its parts together and connects.

import { connect } from "./connection.js";
import { byId, kept } from "./dom.js";
import "./events.js";
import { showHealth } from "./health.js";
import "./history.js";
import { onTabs, openTab } from "./keys.js";
import "./people.js";
import "./picture.js";
import "./recording.js";
import "./robot.js";
import "./teach.js";
import "./timeline.js";
import "./tuning.js";

onTabs((name) => showHealth(name === "health"));
openTab(byId(`tab-${kept.get("tab")}`) ? kept.get("tab") : "events", false);
connect();

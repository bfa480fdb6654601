// One WebSocket: what comes is handed on by its kind, what is asked for is sent.

import { clock, live, looking, tell } from "./session.js";

let socket = null;
let retry_ms = 500;
let retryTimer = 0;

export function connect() {
  clearTimeout(retryTimer);
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    retry_ms = 500;
    tell("open");
  };
  socket.onmessage = ({ data }) => (typeof data === "string" ? onText(JSON.parse(data)) : tell("picture", data));
  socket.onclose = ({ code }) => {
    clock.freeze();
    tell("closed", code === 1013 ? "full" : "connecting");
    if (code === 1006) askWhether();
    retryTimer = setTimeout(connect, retry_ms);
    retry_ms = Math.min(1.6 * retry_ms, 4000);
  };
}

// A browser does not tell a page why its WebSocket was refused; a server that was started again has another token.
async function askWhether() {
  const answer = await fetch("/", { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) tell("closed", "stranger");
}

export function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function onText(message) {
  const { type } = message;
  if (type === "state") {
    const changed = live.state?.camera !== message.camera;
    live.state = message;
    clock.set(message);
    if (changed) tell("camera", message.camera);
    tell("state", message);
    say({ seen: "state" });
  } else if (type === "log") {
    live.log = message.entries;
    tell("log");
  } else if (type === "stages") {
    live.stages = message.stages;
    tell("stages");
  } else {
    if (type in live) live[type] = message;
    tell(type, message);
  }
}

// What this tab shows is all that is sent to it: no pictures while nobody looks. Without a list, those of the focus.
export function showCameras(cameras) {
  say({ do: "show", ...(looking.focus === null ? {} : { focus: looking.focus }), cameras });
}

addEventListener("online", connect);
addEventListener("visibilitychange", () => document.hidden || connect());

// What is known of the server's world, and who wants to hear when it changes.

export const UNKNOWN = -1; // a movement that is none of the classes, or of which too little is seen

// The newest message of each kind. No state of its own outlives a reload.
export const live = { hello: null, state: null, log: [], tuned: null, stages: [], taught: null, bars: null, trends: null };

// What this tab looks at: `all` cameras side by side, or the one in focus (null: the first).
export const looking = { all: false, focus: null };

const listeners = new Map();

export function on(kind, listen) {
  listeners.set(kind, [...(listeners.get(kind) ?? []), listen]);
}

export function tell(kind, message) {
  for (const listen of listeners.get(kind) ?? []) listen(message);
}

export function className(index) {
  if (index === UNKNOWN) return "unknown";
  return index === 0 ? "no action" : wordsOf(live.hello.classes[index] ?? "unknown");
}

export const wordsOf = (action) => action.replaceAll("_", " ");

// The names that were given to people of the camera in focus, by identity; those who have left keep theirs.
export const names = new Map();

on("state", ({ names: given }) => {
  for (const [track, name] of Object.entries(given)) names.set(Number(track), name);
  for (const { track, name } of live.state.people) if (!name) names.delete(track);
});
on("camera", () => names.clear());

export const callOf = (track, letter) => names.get(track) ?? letter;

// The camera's clock, smoothed, so that the timeline glides although states come in steps.
export const clock = {
  offset: 0,
  newest: 0,
  running: false,
  set({ t, status }) {
    const offset = t - performance.now() / 1000;
    const jumped = Math.abs(offset - this.offset) > 1;
    this.offset = jumped || !this.running ? offset : this.offset + 0.08 * (offset - this.offset);
    this.newest = t;
    this.running = status === "live" || status === "nobody";
  },
  freeze() {
    this.running = false;
  },
  now() {
    return this.running ? Math.min(performance.now() / 1000 + this.offset, this.newest + 0.5) : this.newest;
  },
};

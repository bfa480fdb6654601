// Which part of the time the timeline shows: up to now, or, scrolled back, some other part; and the moment in it that is
// looked at.

import { clock, tell } from "./session.js";

export const LEAST_S = 5;

export const span = {
  seconds: 30,
  end: null, // null: now
  moment: null, // the moment that is looked at; null: now
  most: 3600,
  from: 0, // nothing is known from before this

  get live() {
    return this.end === null;
  },
  get to() {
    return this.end ?? clock.now();
  },

  // Show `seconds` of time, the point at `share` of the width (0 left, 1 right) staying where it is.
  zoom(factor, share = 1) {
    const seconds = Math.min(Math.max(this.seconds * factor, LEAST_S), this.most);
    const fixed = this.to - (1 - share) * this.seconds;
    this.seconds = seconds;
    if (!this.live) this.show(fixed + (1 - share) * seconds);
    else tell("span");
  },

  // Scroll so that the right edge is at `end`; at or beyond now it goes on with the time.
  show(end, moment = this.moment) {
    const now = clock.now();
    if (end >= now - 0.01 * this.seconds && moment === null) return this.back();
    this.end = Math.min(Math.max(end, Math.min(this.from + this.seconds, now)), now);
    const inside = moment !== null && moment >= this.end - this.seconds && moment <= this.end;
    this.moment = inside ? moment : this.end;
    tell("span");
  },

  // Look at this moment, and scroll only where it would be outside.
  look(moment) {
    const now = clock.now();
    const at = Math.min(Math.max(moment, this.from), now);
    if (at >= now - 0.05) return this.back();
    let end = this.to;
    if (at > end) end = at;
    if (at < end - this.seconds) end = at + this.seconds;
    this.end = Math.min(end, now);
    this.moment = at;
    tell("span");
  },

  back() {
    this.end = this.moment = null;
    tell("span");
  },
};

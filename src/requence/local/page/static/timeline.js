// When each node was busy: a row for each, with a bar for each attempt.

import { make, setText } from "./dom.js";
import { duration, STATES } from "./format.js";
import { isLive, span, stateOf } from "./task_state.js";

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 20, 30].map((number) => number * SECOND),
  ...[1, 2, 5, 10, 20, 30].map((number) => number * MINUTE),
  ...[1, 2, 4, 8, 12].map((number) => number * HOUR),
];
const MOST_MARKS = 6;
const MARK_WIDTH = 52; // pixels that a mark with its text takes
const LONG = 300; // rows, from which on those that are out of sight are not laid out

export class Timeline {
  /** `nameOf` gives the name of a node for people; `onChoose` gets the key of a node. */
  constructor(holder, nameOf, onChoose) {
    Object.assign(this, { holder, nameOf, onChoose, chosen: null, rows: new Map(), marked: "" });
    this.marks = make("div", { class: "scale" });
    this.list = make("ol", { class: "bars" });
    holder.append(make("div", { class: "marks", "aria-hidden": true }, this.marks), this.list);
  }

  show(task, now) {
    if (task.startedAt === null) {
      this.holder.dataset.empty = "Nothing has begun yet.";
      return;
    }
    delete this.holder.dataset.empty;
    const length = Math.max(1, (task.endedAt ?? now) - task.startedAt);
    this.showMarks(length);
    // Bars are placed in milliseconds, and the browser divides: so what is over is not touched any more.
    this.list.style.setProperty("--length", length);
    for (const [key, node] of task.nodes) {
      if (node.attempts.length === 0) continue;
      const row = this.rows.get(key) ?? this.added(key);
      const seen = `${node.changes} ${node.state}`;
      if (row.seen === seen && !isLive(node)) continue;
      row.seen = seen;
      this.showRow(row, key, node, task, now);
    }
  }

  showRow(row, key, node, task, now) {
    const busy = span(node, now);
    const took = duration(busy.to - busy.from);
    setText(row.time, took);
    // How long it takes is named only when that is known: a name that changes all the time would be read all the time.
    const label = `${this.nameOf(key)}: ${STATES[stateOf(task, key)].label}${isLive(node) ? "" : `, ${took}`}`;
    if (row.label !== label) {
      row.label = label;
      row.button.setAttribute("aria-label", label);
    }
    const bars = parts(node, now);
    while (row.track.children.length < bars.length) row.track.append(make("span"));
    while (row.track.children.length > bars.length) row.track.lastChild.remove();
    bars.forEach(({ from, to, state }, index) => {
      const element = row.track.children[index];
      element.className = `bar ${state}`;
      element.style.setProperty("--from", from - task.startedAt);
      element.style.setProperty("--for", Math.max(0, to - from));
    });
  }

  added(key) {
    const track = make("span", { class: "track" });
    const time = make("span", { class: "took" });
    const name = make("span", { class: "who" }, this.nameOf(key));
    const button = make(
      "button", { type: "button", title: this.nameOf(key), "aria-pressed": String(key === this.chosen) }, name, track, time,
    );
    button.addEventListener("click", () => this.onChoose(key));
    this.list.append(make("li", {}, button));
    this.list.classList.toggle("long", this.rows.size > LONG);
    const row = { button, track, time, label: "", seen: "" };
    this.rows.set(key, row);
    return row;
  }

  choose(key) {
    this.rows.get(this.chosen)?.button.setAttribute("aria-pressed", "false");
    this.rows.get(key)?.button.setAttribute("aria-pressed", "true");
    this.chosen = key;
  }

  showMarks(length) {
    const most = Math.max(1, Math.min(MOST_MARKS, Math.floor(this.marks.clientWidth / MARK_WIDTH)));
    const marked = `${length} ${most}`;
    if (this.marked === marked) return;
    this.marked = marked;
    const step = markStep(length, most);
    const marks = [];
    for (let at = 0; at <= length; at += step) {
      const mark = make("span", {}, at === 0 ? "0" : roundDuration(at));
      mark.style.left = `${(100 * at) / length}%`;
      marks.push(mark);
    }
    this.marks.replaceChildren(...marks);
  }
}

function parts(node, now) {
  const bars = [];
  for (const { from, to, end, until, then } of node.attempts) {
    bars.push({ from, to: to ?? now, state: end === "deferred" ? "done" : (end ?? "running") });
    if (end !== "deferred") continue;
    bars.push({ from: to, to: until ?? now, state: "deferred" });
    if (then !== null) bars.push({ from: until, to: until, state: then });
  }
  return bars;
}

function markStep(length, most) {
  return STEPS.find((step) => length / step <= most) ?? Math.ceil(length / most / DAY) * DAY;
}

/** A duration without a second part that is nought. */
function roundDuration(ms) {
  return duration(ms).replace(".0 ", " ").replace(/ 0 \w+$/, "");
}

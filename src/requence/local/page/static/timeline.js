// When each node was busy: a row for each, with a bar for each attempt.

import { make } from "./dom.js";
import { duration, STATES } from "./format.js";
import { span, stateOf } from "./task_state.js";

const STEPS = [1, 2, 5];
const MOST_MARKS = 6;

export class Timeline {
  /** `nameOf` gives the name of a node for people; `onChoose` gets the key of a node. */
  constructor(holder, nameOf, onChoose) {
    this.holder = holder;
    this.nameOf = nameOf;
    this.onChoose = onChoose;
    this.rows = new Map();
    this.marks = make("div", { class: "marks", "aria-hidden": true });
    this.list = make("ol", { class: "bars" });
    holder.append(this.marks, this.list);
  }

  show(task, now) {
    if (task.startedAt === null) {
      this.holder.dataset.empty = "Nothing has begun yet.";
      return;
    }
    delete this.holder.dataset.empty;
    const to = task.endedAt ?? now;
    const length = Math.max(1, to - task.startedAt);
    this.showMarks(length);
    for (const [key, node] of task.nodes) {
      if (node.attempts.length === 0) continue;
      const row = this.rows.get(key) ?? this.added(key);
      const busy = span(node, now);
      const state = stateOf(task, key);
      const told = `${this.nameOf(key)}: ${STATES[state].label}, ${duration(busy.to - busy.from)}`;
      if (row.told !== told) {
        row.told = told;
        row.button.setAttribute("aria-label", told);
        row.time.textContent = duration(busy.to - busy.from);
      }
      const bars = parts(node, now);
      while (row.track.children.length < bars.length) row.track.append(make("span"));
      bars.forEach((bar, index) => {
        const element = row.track.children[index];
        element.className = `bar ${bar.state}`;
        element.style.left = `${(100 * (bar.from - task.startedAt)) / length}%`;
        element.style.width = `${(100 * (bar.to - bar.from)) / length}%`;
      });
    }
  }

  added(key) {
    const track = make("span", { class: "track" });
    const time = make("span", { class: "took" });
    const name = make("span", { class: "who" }, this.nameOf(key));
    const button = make("button", { type: "button", title: this.nameOf(key) }, name, track, time);
    button.addEventListener("click", () => this.onChoose(key));
    this.list.append(make("li", {}, button));
    const row = { button, track, time, told: "" };
    this.rows.set(key, row);
    return row;
  }

  choose(key) {
    for (const [other, { button }] of this.rows) button.setAttribute("aria-pressed", String(other === key));
  }

  showMarks(length) {
    const step = markStep(length);
    if (this.step !== step || this.length !== length) {
      [this.step, this.length] = [step, length];
      const marks = [];
      for (let at = 0; at <= length; at += step) {
        const mark = make("span", {}, at === 0 ? "0" : duration(at));
        mark.style.left = `${(100 * at) / length}%`;
        marks.push(mark);
      }
      this.marks.replaceChildren(...marks);
    }
  }
}

function parts(node, now) {
  const bars = [];
  node.attempts.forEach(({ from, to, end }, index) => {
    bars.push({ from, to: to ?? now, state: end === "deferred" ? "done" : (end ?? "running") });
    const next = node.attempts[index + 1];
    if (end === "deferred" && (next || node.state === "deferred")) {
      bars.push({ from: to, to: next ? next.from : now, state: "deferred" });
    }
  });
  return bars;
}

function markStep(length) {
  for (let power = 1; ; power *= 10) {
    for (const step of STEPS) {
      if (length / (step * power) <= MOST_MARKS) return step * power;
    }
  }
}

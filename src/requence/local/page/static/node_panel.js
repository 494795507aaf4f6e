// All about the chosen node.

import { make, setText } from "./dom.js";
import { duration, STATES, time } from "./format.js";
import { jsonView, longText } from "./json_view.js";
import { inputOf, span, stateOf } from "./task_state.js";

const KINDS = { service: "node", or: "any of (Or)", reference: "sub task" };

export class NodePanel {
  /** `subtaskOf` gives the URL of the page of a node's sub task, or null. */
  constructor(holder, title, nameOf, subtaskOf) {
    Object.assign(this, { holder, title, nameOf, subtaskOf, key: null, parts: new Map() });
  }

  /** Shows a node. Parts in which nothing has changed stay, and so does what was unfolded in them. */
  show(task, planned, key, now) {
    const node = task.nodes.get(key);
    if (this.key !== key) {
      this.key = key;
      this.parts.clear();
      setText(this.title, `Node: ${this.nameOf(key)}`);
    }
    const old = this.parts;
    this.parts = new Map();
    for (const { name, of, build } of this.wanted(task, planned, node)) {
      const part = old.get(name);
      this.parts.set(name, part && isSame(part.of, of) ? part : { of, element: build() });
    }
    const elements = new Set([...this.parts.values()].map(({ element }) => element));
    for (const child of [...this.holder.children]) {
      if (!elements.has(child)) child.remove();
    }
    // Those that stay are never moved: that would take the focus away, and what was scrolled.
    [...elements].forEach((element, index) => {
      const there = this.holder.children[index] ?? null;
      if (there !== element) this.holder.insertBefore(element, there);
    });
    const busy = span(node, now);
    if (busy) setText(this.took, duration(busy.to - busy.from));
  }

  /** The parts of the panel: what each is called, what it shows, and what makes it. */
  *wanted(task, planned, node) {
    const state = stateOf(task, this.key);
    const link = this.subtaskOf(this.key);
    const told = [state, link, node?.reason, node === undefined];
    yield { name: "facts", of: told, build: () => this.facts(planned, node, state, link) };
    if (node && node.attempts.length > 1) {
      const { end, until } = node.attempts.at(-1);
      yield { name: "attempts", of: [node.attempts.length, end, until], build: () => attempts(node) };
    }
    const input = planned && node ? inputOf(task, planned) : undefined;
    if (input !== undefined) yield value("Input", input, "the input");
    if (node?.error !== null && node?.error !== undefined) {
      yield {
        name: "error", of: node.error,
        build: () => make("div", {}, make("h3", {}, "Error"), make("pre", { class: "problem" }, longText(node.error))),
      };
    }
    for (const [output, data] of node?.outputs ?? []) {
      yield value(output === null ? "Output" : `Output “${output}”`, data, "the output");
    }
    if (state === "done" && node.outputs.size === 0) {
      yield { name: "nothing", of: null, build: () => make("p", { class: "quiet" }, "It has ended without an output.") };
    }
  }

  facts(planned, node, state, link) {
    const facts = [["State", make("span", { class: `state ${state}` }, `${STATES[state].sign} ${STATES[state].label}`)]];
    facts.push(["Kind", KINDS[planned?.kind ?? node?.kind] ?? "node"]);
    if (planned?.subtask) facts.push(["Template", planned.subtask]);
    if (link) facts.push(["Task", make("a", { href: link }, "the page of the sub task")]);
    this.took = make("span");
    if (node) facts.push(["Took", this.took]);
    if (node?.reason) facts.push(["Waits for", longText(node.reason)]);
    const list = facts.map(([name, told]) => make("div", {}, make("dt", {}, name), make("dd", {}, told)));
    return make("dl", { class: "facts" }, list);
  }
}

function attempts(node) {
  return make(
    "details", { open: true },
    make("summary", {}, `${node.attempts.length} attempts`),
    make(
      "ol", { class: "attempts" },
      node.attempts.map(({ from, to, end }) => {
        const how = STATES[end ?? "running"].label;
        return make("li", {}, `${time(new Date(from).toISOString())}, ${how}${to === null ? "" : `, ${duration(to - from)}`}`);
      }),
    ),
  );
}

function value(title, data, label) {
  return { name: title, of: data, build: () => make("div", {}, make("h3", {}, title), jsonView(data, label)) };
}

/** Whether nothing has changed: the same value, or an object made anew of the same values. */
function isSame(one, other) {
  if (Object.is(one, other)) return true;
  if (!one || !other || typeof one !== "object" || typeof other !== "object") return false;
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false;
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  return keys.every((key) => Object.hasOwn(other, key) && Object.is(one[key], other[key]));
}

// All about the chosen node.

import { make } from "./dom.js";
import { duration, STATES, time } from "./format.js";
import { jsonView } from "./json_view.js";
import { inputOf, span, stateOf } from "./task_state.js";

const KINDS = { service: "node", or: "any of (Or)", reference: "sub task" };

export class NodePanel {
  /** `subtaskOf` gives the URL of the page of a node's sub task, or null. */
  constructor(holder, title, nameOf, subtaskOf) {
    Object.assign(this, { holder, title, nameOf, subtaskOf, key: null, told: null });
  }

  /** Shows a node, or the same again if it has changed. */
  show(task, planned, key, now) {
    const node = task.nodes.get(key);
    const state = stateOf(task, key);
    const link = this.subtaskOf(key);
    // Made anew only when something has happened, so that what was unfolded stays so.
    const told = JSON.stringify([key, state, node?.attempts, node?.changes, link]);
    if (told === this.told) {
      const busy = span(node, now);
      if (busy && this.took) this.took.textContent = duration(busy.to - busy.from);
      return;
    }
    this.told = told;
    this.title.textContent = `Node: ${this.nameOf(key)}`;
    this.took = null;
    this.holder.replaceChildren(...this.facts(planned, node, state, link, now), ...values(task, planned, node));
  }

  facts(planned, node, state, link, now) {
    const busy = span(node, now);
    const facts = [["State", make("span", { class: `state ${state}` }, `${STATES[state].sign} ${STATES[state].label}`)]];
    facts.push(["Kind", KINDS[planned?.kind ?? node?.kind] ?? "node"]);
    if (planned?.subtask) facts.push(["Template", planned.subtask]);
    if (link) facts.push(["Task", make("a", { href: link }, "the page of the sub task")]);
    if (busy) {
      this.took = make("span", {}, duration(busy.to - busy.from));
      facts.push(["Took", this.took]);
    }
    if (node?.reason) facts.push(["Waits for", node.reason]);
    const list = facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
    return [make("dl", { class: "facts" }, list), ...attempts(node)];
  }
}

function* attempts(node) {
  if (!node || node.attempts.length < 2) return;
  yield make(
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

function* values(task, planned, node) {
  if (planned && node) {
    const input = inputOf(task, planned);
    if (input !== undefined) yield* value("Input", input, "the input");
  }
  if (node?.error !== null && node?.error !== undefined) {
    yield make("h3", {}, "Error");
    yield make("pre", { class: "problem" }, node.error);
  }
  for (const [output, data] of node?.outputs ?? []) {
    yield* value(output === null ? "Output" : `Output “${output}”`, data, "the output");
  }
}

function* value(title, data, label) {
  yield make("h3", {}, title);
  yield jsonView(data, label);
}

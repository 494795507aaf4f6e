// A task as its updates tell it: the fold, without anything of the browser.
//
// A node: {key, id, kind, state, attempts, outputs, error, reason}. An attempt: {from, to, end, until, then}, with times in
// milliseconds. `to` and `end` are null while it lasts; `end` is one of done, failed, deferred, stopped. After one that
// was deferred the node waits: `until` when, and `then` how that has ended, null if by a further attempt.

export function newTask() {
  return {
    startedAt: null, endedAt: null, endedBy: null, input: undefined, result: undefined, reason: null, exit: null,
    nodes: new Map(),
  };
}

/** Takes in the next update; returns the key of the node that it is about, or null if it is about the task. */
export function apply(task, type, data) {
  const at = Date.parse(data.timestamp);
  if (data.node) return applyToNode(task, type, data, at);
  switch (type) {
    case "taskStart":
      task.startedAt = at;
      task.input = data.input;
      break;
    case "taskEnd":
      task.result = data.result;
      task.exit = data.exit ?? null;
      end(task, type, at);
      break;
    case "taskError":
    case "taskAborted":
      task.reason = data.reason ?? null;
      end(task, type, at);
      break;
  }
  return null;
}

function applyToNode(task, type, data, at) {
  const key = data.node.alias ?? data.node.id;
  let node = task.nodes.get(key);
  if (!node) {
    node = {
      key, id: data.node.id, kind: data.node.type, state: "waiting", attempts: [], outputs: new Map(), error: null,
      reason: null,
    };
    task.nodes.set(key, node);
  }
  switch (type) {
    case "nodeStart":
      close(node, at, null);
      node.attempts.push({ from: at, to: null, end: null, until: null, then: null });
      node.state = "running";
      node.outputs = new Map(); // what an earlier attempt has delivered does not count any more
      node.error = node.reason = null;
      break;
    case "nodeUpdate":
      node.outputs.set(data.output ?? null, data.data);
      break;
    case "nodeDefer":
      node.state = "deferred";
      node.reason = data.reason ?? null;
      close(node, at, "deferred");
      break;
    case "nodeEnd":
      node.state = "done";
      close(node, at, "done");
      break;
    case "nodeError":
      node.state = "failed";
      node.error = data.error;
      close(node, at, "failed");
      break;
  }
  return key;
}

/** Ends the attempt that lasts, or the waiting after the last one; `how` is null where a further attempt does that. */
function close(node, at, how) {
  const last = node.attempts.at(-1);
  // A further attempt begins while one lasts where the server was killed in the middle.
  if (last?.end === null) Object.assign(last, { to: at, end: how ?? "stopped" });
  else if (last?.end === "deferred" && last.until === null) Object.assign(last, { until: at, then: how });
  else if (!last && how !== null) node.attempts.push({ from: at, to: at, end: how, until: null, then: null });
}

function end(task, type, at) {
  task.endedAt = at;
  task.endedBy = type;
  for (const node of task.nodes.values()) {
    if (!isLive(node)) continue;
    node.state = "stopped";
    close(node, at, "stopped");
  }
}

/** What a node shows before any update is about it. */
export function stateOf(task, key) {
  return task.nodes.get(key)?.state ?? (task.endedAt === null ? "waiting" : "unused");
}

/** Whether a line of the plan came true: "taken", "not taken", or "open" as long as that is not decided. */
export function taken(task, line) {
  const node = task.nodes.get(line.node);
  const over = task.endedAt !== null;
  if (!node || (node.state !== "done" && node.state !== "failed")) return over ? "not taken" : "open";
  if (line.way === "failure") return node.state === "failed" ? "taken" : "not taken";
  return node.state === "done" && node.outputs.has(line.output) ? "taken" : "not taken";
}

/** What has arrived at a node of the plan, or undefined if nothing has. */
export function inputOf(task, planned) {
  const node = task.nodes.get(planned.key);
  if (!node) return undefined;
  if (planned.after.length === 0) return task.input;
  if (planned.join === "first") return node.outputs.get(null); // an Or node hands on what it gets
  const carried = (line) => {
    const source = task.nodes.get(line.node);
    return line.way === "failure" ? { node: line.node, error: source?.error } : source?.outputs.get(line.output);
  };
  if (planned.join === "single") return carried(planned.after[0]);
  return Object.fromEntries(planned.after.map((line) => [line.node, carried(line)]));
}

/** Whether time goes on for a node: it is running, or waits to go on. */
export function isLive(node) {
  return node?.state === "running" || node?.state === "deferred";
}

/** From when to when a node was busy, waiting for its next attempt included; null before it began. */
export function span(node, now) {
  if (!node?.attempts.length) return null;
  const last = node.attempts.at(-1);
  return { from: node.attempts[0].from, to: (last.end === "deferred" ? last.until : last.to) ?? now };
}

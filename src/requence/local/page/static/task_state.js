// A task as its updates tell it: the fold, without anything of the browser.
//
// A node: {key, id, kind, state, attempts, outputs, error, reason}; an attempt: {from, to, end}, with times in
// milliseconds, `to` and `end` null while it lasts, `end` one of done, failed, deferred, stopped.

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
      node.attempts.push({ from: at, to: null, end: null });
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

/** Ends the attempt that lasts; the end of a deferred node ends the waiting that followed its last attempt. */
function close(node, at, how) {
  const last = node.attempts.at(-1);
  if (!last) node.attempts.push({ from: at, to: at, end: how });
  else if (last.end === null) Object.assign(last, { to: at, end: how });
  else if (last.end === "deferred") node.attempts.push({ from: at, to: at, end: how });
}

function end(task, type, at) {
  task.endedAt = at;
  task.endedBy = type;
  for (const node of task.nodes.values()) {
    if (node.state !== "running" && node.state !== "deferred") continue;
    node.state = "stopped";
    if (node.attempts.at(-1)?.end === null) close(node, at, "stopped");
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

/** From when to when a node was busy, waiting for its next attempt included; null before it began. */
export function span(node, now) {
  if (!node?.attempts.length) return null;
  const last = node.attempts.at(-1);
  const to = node.state === "running" || node.state === "deferred" ? now : (last.to ?? now);
  return { from: node.attempts[0].from, to };
}

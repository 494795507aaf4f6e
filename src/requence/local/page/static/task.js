// The page of one task: follows its updates, and shows what they tell.

import { setUpAbort } from "./abort_dialog.js";
import { byId, make } from "./dom.js";
import { duration, statusLabel, time } from "./format.js";
import { Graph, legend } from "./graph.js";
import { parse } from "./json.js";
import { jsonView } from "./json_view.js";
import { NodePanel } from "./node_panel.js";
import * as server from "./server.js";
import { apply, newTask } from "./task_state.js";
import { Timeline } from "./timeline.js";
import { Updates } from "./updates.js";

const TICK = 250; // milliseconds between two looks at what runs
const AT_ONCE = 2000; // updates that are taken in before the page is drawn again
const RETRY = 2000;
const FINAL = { taskEnd: "successful", taskError: "failed", taskAborted: "stopped" };
const OUTCOMES = { taskEnd: "Result", taskError: "Why it failed", taskAborted: "Why it was aborted" };

const task = newTask();
const waiting = []; // updates that have arrived and are not shown yet
let about = null; // what the server tells beside the updates
let clockAhead = 0; // how much the server's clock is ahead of the browser's
let chosen = null;
let drawing = false;
let graph, timeline, panel, updates, stop;

function now() {
  return Date.now() + clockAhead;
}

function nameOf(key) {
  return about.nodes.get(key)?.alias ?? (about.nodes.get(key)?.kind === "or" ? "any of" : key);
}

async function load() {
  const told = await server.task();
  clockAhead = Date.parse(told.now) - Date.now();
  about = {
    ...told,
    nodes: new Map((told.graph?.nodes ?? []).map((node) => [node.key, node])),
    subtasks: new Map(told.subtasks.map((subtask) => [subtask.node, subtask.href])),
  };
}

async function reload() {
  try {
    await load();
  } catch (error) {
    byId("problem").textContent = error.message;
    return;
  }
  showFacts();
  schedule();
}

function choose(key) {
  chosen = key;
  graph.choose(key);
  timeline.choose(key);
  if (byId("only-node").checked) updates.show(key);
  schedule();
}

function received(update) {
  waiting.push(update);
  if (update.type in FINAL) stop(); // else the browser would open the stream again when it ends
  schedule();
}

/** Draws soon, however many updates come until then. */
function schedule() {
  if (drawing) return;
  drawing = true;
  // A page in the background is given no frames, and has to keep up as well.
  if (document.hidden) setTimeout(redraw, TICK);
  else requestAnimationFrame(redraw);
}

function redraw() {
  drawing = false;
  const taken = waiting.splice(0, AT_ONCE);
  const before = { status: status(), ended: task.endedBy };
  let startsSubtask = false;
  for (const update of taken) {
    const data = parse(update.text);
    update.key = apply(task, update.type, data);
    update.at = data.timestamp;
    const node = task.nodes.get(update.key);
    if (node) node.changes = update.position;
    startsSubtask ||= update.type === "nodeStart" && node.kind === "reference";
  }
  updates.add(taken);
  if (waiting.length > 0) schedule();
  if (startsSubtask || task.endedBy !== before.ended) reload();
  if (task.endedBy !== before.ended) showOutcome();
  if (task.input !== undefined && byId("input").hidden) showValue("input", jsonView(task.input, "the input"));
  showFacts();
  graph.show(task, now());
  timeline.show(task, now());
  if (chosen !== null) panel.show(task, about.nodes.get(chosen), chosen, now());
}

function status() {
  if (task.endedBy !== null) return about.endedAt ? about.status : FINAL[task.endedBy];
  return task.startedAt === null ? about.status : "running";
}

function showFacts() {
  const current = status();
  document.title = `${statusLabel(current)} · ${about.name}`;
  byId("name").textContent = about.name;
  const sign = byId("status");
  if (sign.textContent !== statusLabel(current)) sign.textContent = statusLabel(current);
  sign.className = `status ${current}`;
  const from = task.startedAt ?? (about.startedAt && Date.parse(about.startedAt));
  const facts = [
    ["Template", about.template],
    ["Task", make("code", {}, about.id)],
    ["Prepared", make("time", { datetime: about.preparedAt }, time(about.preparedAt))],
  ];
  if (from) facts.push(["Duration", duration((task.endedAt ?? now()) - from)]);
  if (about.priority !== null) facts.push(["Priority", String(about.priority)]);
  if (about.protected) facts.push(["Kept", "protected from cleanup"]);
  byId("facts").replaceChildren(
    ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
  byId("abort").hidden = task.endedBy !== null || about.endedAt !== null;
  byId("protect").hidden = about.protected;
}

function showOutcome() {
  byId("outcome-title").textContent = OUTCOMES[task.endedBy] + (task.exit === null ? "" : `, at the exit “${task.exit}”`);
  const value =
    task.endedBy === "taskEnd"
      ? jsonView(task.result, "the result")
      : make("pre", { class: "problem" }, task.reason ?? "No reason was given.");
  showValue("outcome", value);
}

function showValue(id, value) {
  byId(`${id}-body`).replaceChildren(value);
  byId(id).hidden = false;
}

function connection(state) {
  const texts = { open: "", lost: "Connection lost; trying again", gone: "The updates of this task cannot be had any more" };
  byId("connection").textContent = task.endedBy === null ? texts[state] : "";
}

async function protectTask() {
  try {
    await server.protect();
    await load();
    showFacts();
  } catch (error) {
    byId("problem").textContent = error.message;
  }
}

async function begin() {
  try {
    await load();
  } catch (error) {
    byId("problem").textContent = `${error.message}. Trying again…`;
    setTimeout(begin, RETRY);
    return;
  }
  byId("problem").textContent = "";
  graph = new Graph(byId("graph"), about.graph, choose);
  timeline = new Timeline(byId("timeline"), nameOf, choose);
  panel = new NodePanel(byId("node-body"), byId("node-title"), nameOf, (key) => about.subtasks.get(key) ?? null);
  updates = new Updates(byId("updates"), byId("left-out"));
  legend(byId("legend"));
  setUpAbort();
  byId("protect").addEventListener("click", protectTask);
  byId("zoom").addEventListener("click", ({ target }) => target.setAttribute("aria-pressed", String(graph.toggle())));
  byId("only-node").addEventListener("change", ({ target }) => updates.show(target.checked ? chosen : null));
  stop = server.follow(received, connection);
  schedule();
  setInterval(() => {
    if (task.endedBy === null) schedule();
    else if (about.status === "awaiting_delivery") reloadSometimes();
  }, TICK);
}

let lastReload = 0;
function reloadSometimes() {
  if (Date.now() - lastReload < RETRY) return;
  lastReload = Date.now();
  reload();
}

begin();

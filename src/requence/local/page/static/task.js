// The page of one task: follows its updates, and shows what they tell.

import { setUpAbort } from "./abort_dialog.js";
import { byId, make, setText } from "./dom.js";
import { duration, statusLabel, time } from "./format.js";
import { keepFollowing } from "./following.js";
import { Graph, legend } from "./graph.js";
import { parse } from "./json.js";
import { jsonView, longText } from "./json_view.js";
import { NodePanel } from "./node_panel.js";
import * as server from "./server.js";
import { apply, newTask } from "./task_state.js";
import { Timeline } from "./timeline.js";
import { Updates } from "./updates.js";

const TICK = 250; // milliseconds between two looks at what runs
const RETRY = 1000;
const REST = 4; // how many times as long as drawing took nothing is drawn after it
const FINAL = { taskEnd: "successful", taskError: "failed", taskAborted: "stopped" };
const OUTCOMES = { taskEnd: "Result", taskError: "Why it failed", taskAborted: "Why it was aborted" };
const CONNECTIONS = {
  open: "",
  slow: `${server.NO_CONNECTION}. Waiting…`,
  lost: "Connection lost; trying again",
  gone: "The updates of this task cannot be had any more",
};
// In these a task changes without any update.
const UNTOLD = new Set(["idle", "pending", "awaiting_delivery"]);

const task = newTask();
let about = null; // what the server tells beside the updates
let clockAhead = -Infinity; // how much the server's clock is ahead of the browser's
let asked = 0; // when the server was asked last
let [asks, heard] = [0, 0]; // how often it was, and which of these was answered last
let isBehind = false; // whether it was asked in vain
let isGone = false; // whether there is no such task any more
let chosen = null;
let drawing = false;
let wanted = false; // whether there is something new to be drawn
let shown = { endedBy: null, startedAt: null };
let subtaskBegun = false;
let graph, timeline, panel, updates, unfollow;

function now() {
  return Date.now() + clockAhead;
}

function nameOf(key) {
  return about.nodes.get(key)?.alias ?? (about.nodes.get(key)?.kind === "or" ? "any of" : key);
}

function isOver() {
  return task.endedBy !== null;
}

async function load() {
  asked = Date.now();
  const number = ++asks;
  const told = await server.task(about === null);
  if (number < heard) return; // what was asked later is answered already
  heard = number;
  clockAhead = Date.parse(told.now) - Date.now();
  if (about !== null && told.served && !about.served) location.reload(); // there is a plan now
  about = {
    ...told,
    nodes: about?.nodes ?? new Map((told.graph?.nodes ?? []).map((node) => [node.key, node])),
    subtasks: new Map(told.subtasks.map((subtask) => [subtask.node, subtask.href])),
  };
}

async function reload() {
  try {
    await load();
  } catch (error) {
    isBehind = true;
    isGone ||= error.status === 404;
    setText(byId("problem"), error.message);
    return;
  }
  isBehind = false;
  setText(byId("problem"), "");
  showFacts(); // also where nothing is drawn, because nobody sees the page: the title is seen
  schedule();
}

function choose(key) {
  chosen = key;
  graph.choose(key);
  timeline.choose(key);
  byId("only-node").disabled = false;
  if (byId("only-node").checked) updates.showOnly(key);
  panel.show(task, about.nodes.get(key), key, now());
  const { top, bottom } = byId("node-title").getBoundingClientRect();
  if (top > innerHeight || bottom < 0) byId("node").scrollIntoView({ block: "nearest" });
}

function received(update) {
  const data = parse(update.text);
  const key = apply(task, update.type, data);
  const node = task.nodes.get(key);
  if (node) node.changes = update.position;
  subtaskBegun ||= update.type === "nodeStart" && node.kind === "reference";
  // No update comes before its time: the server's clock may have been moved on.
  clockAhead = Math.max(clockAhead, Date.parse(data.timestamp) - Date.now());
  updates.take({ ...update, key, at: data.timestamp });
  if (isOver()) unfollow(); // else the browser would open the stream again when it ends
  schedule();
}

function connection(state) {
  isGone ||= state === "gone";
  setText(byId("connection"), isOver() ? "" : CONNECTIONS[state]);
}

/** Draws soon, however many updates come until then. */
function schedule() {
  wanted = true;
  if (drawing || document.hidden) return;
  drawing = true;
  requestAnimationFrame(() => {
    const began = performance.now();
    wanted = false;
    redraw();
    setTimeout(() => {
      drawing = false;
      if (wanted) schedule();
    }, REST * (performance.now() - began));
  });
}

function redraw() {
  const before = shown;
  shown = { endedBy: task.endedBy, startedAt: task.startedAt };
  if (subtaskBegun || shown.endedBy !== before.endedBy || shown.startedAt !== before.startedAt) reload();
  subtaskBegun = false;
  if (shown.endedBy !== before.endedBy) showOutcome();
  if (task.input !== undefined && byId("input").hidden) showValue("input", jsonView(task.input, "the input"));
  showFacts();
  updates.show();
  graph.show(task, now());
  timeline.show(task, now());
  if (chosen !== null) panel.show(task, about.nodes.get(chosen), chosen, now());
}

function status() {
  if (about.endedAt !== null) return about.status;
  if (isOver()) return FINAL[task.endedBy];
  return task.startedAt === null ? about.status : "running";
}

function showFacts() {
  const current = status();
  document.title = `${statusLabel(current)} · ${about.name}`;
  setText(byId("name"), about.name);
  setText(byId("status"), statusLabel(current));
  byId("status").className = `status ${current}`;
  const from = task.startedAt ?? (about.startedAt && Date.parse(about.startedAt));
  const to = task.endedAt ?? (about.endedAt === null ? now() : Date.parse(about.endedAt));
  const facts = {
    template: about.template,
    task: about.id,
    prepared: time(about.preparedAt),
    duration: from ? duration(to - from) : "",
    priority: about.priority === null ? "" : String(about.priority),
    kept: about.protected ? "protected from cleanup" : "",
  };
  for (const [name, value] of Object.entries(facts)) {
    const fact = byId(`fact-${name}`);
    setText(fact, value);
    fact.parentElement.hidden = value === "";
  }
  byId("fact-prepared").title = about.preparedAt;
  const waits = !about.served && about.endedAt === null && !isOver();
  setText(byId("note"), waits ? "This server has no template of this name, so the task waits until it has." : "");
  showButton("abort", !isOver() && about.endedAt === null);
  showButton("protect", !about.protected);
}

function showButton(id, isWanted) {
  const button = byId(id);
  const hadFocus = document.activeElement === button;
  button.hidden = !isWanted;
  // Else whoever uses the keyboard would begin at the top. What is seen stays where it is.
  if (hadFocus && !isWanted) byId("content").focus({ preventScroll: true });
}

function showOutcome() {
  byId("outcome-title").textContent = OUTCOMES[task.endedBy] + (task.exit === null ? "" : `, at the exit “${task.exit}”`);
  const value =
    task.endedBy === "taskEnd"
      ? jsonView(task.result, "the result")
      : make("pre", { class: "problem" }, longText(task.reason ?? "No reason was given."));
  showValue("outcome", value);
}

function showValue(id, value) {
  byId(`${id}-body`).replaceChildren(value);
  byId(id).hidden = false;
}

async function protectTask() {
  try {
    await server.protect();
  } catch (error) {
    setText(byId("problem"), error.message);
    return;
  }
  await reload();
}

async function begin() {
  try {
    await load();
  } catch (error) {
    setText(byId("problem"), `${error.message}. Trying again…`);
    setTimeout(begin, RETRY);
    return;
  }
  setText(byId("problem"), "");
  graph = new Graph(byId("graph"), about.graph, byId("zoom"), choose);
  timeline = new Timeline(byId("timeline"), nameOf, choose);
  panel = new NodePanel(byId("node-body"), byId("node-title"), nameOf, (key) => about.subtasks.get(key) ?? null);
  updates = new Updates(byId("updates"), byId("left-out"), nameOf);
  legend(byId("legend"));
  showFacts();
  setUpAbort();
  byId("protect").addEventListener("click", protectTask);
  byId("only-node").addEventListener("change", ({ target }) => updates.showOnly(target.checked ? chosen : null));
  document.addEventListener("visibilitychange", schedule);
  unfollow = keepFollowing(received, connection);
  schedule();
  setInterval(tick, TICK);
}

/** Time goes on for what runs; and some things no update tells, or none that is followed. */
function tick() {
  if (isGone) return;
  const untold = !isOver() && about.endedAt === null && (document.hidden || !about.served);
  if ((untold || isBehind || UNTOLD.has(about.status)) && Date.now() - asked >= RETRY) reload();
  if (!isOver()) schedule();
}

begin();

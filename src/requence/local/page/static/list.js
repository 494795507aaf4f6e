// The list of tasks: looks again every few seconds, as long as somebody sees it.

import { byId, make, setText } from "./dom.js";
import { duration, statusLabel, time } from "./format.js";
import * as server from "./server.js";

const EVERY = 1500; // milliseconds between two looks, for each page that is asked for
const TYPING = 200; // milliseconds that a search waits for the next letter

let pages = 1; // how many times as many tasks as the server gives at once
let asking = 0;
let timer = null;

function wanted() {
  return {
    search: byId("search").value.trim(),
    status: byId("status").value,
    template: byId("template").value,
  };
}

async function refresh() {
  clearTimeout(timer);
  const number = ++asking;
  try {
    const found = await load();
    if (number !== asking) return; // something else is wanted meanwhile
    show(found);
    setText(byId("connection"), "");
  } catch (error) {
    if (number !== asking) return;
    setText(byId("connection"), error.message);
  }
  timer = setTimeout(() => (document.hidden ? null : refresh()), EVERY * pages);
}

async function load() {
  const tasks = [];
  let answer;
  let more;
  for (let page = 0; page < pages; page++) {
    answer = await server.tasks({ ...wanted(), ...(more ? { before: more } : {}) });
    tasks.push(...answer.tasks);
    more = answer.more;
    if (more === null) break;
  }
  return { ...answer, tasks };
}

function show({ tasks, more, templates, now }) {
  const known = new Set([...byId("template").options].map((option) => option.value));
  for (const name of [...templates, ...tasks.map((task) => task.template)]) {
    if (known.has(name)) continue;
    known.add(name);
    byId("template").append(make("option", { value: name }, name));
  }
  // Rows stay as they are where nothing has changed, and so does the focus.
  const rows = byId("rows");
  const old = new Map([...rows.children].map((row) => [row.dataset.id, row]));
  tasks.forEach((task, index) => {
    const row = filled(old.get(task.id) ?? empty(task), task, now);
    if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
  });
  while (rows.children.length > tasks.length) rows.lastChild.remove();
  setText(byId("count"), heading(tasks.length, more !== null));
  byId("more").hidden = more === null;
}

function heading(number, more) {
  const { search, status, template } = wanted();
  if (number === 0) return search || status || template ? "No task is like that." : "There are no tasks yet.";
  return more ? `The last ${number.toLocaleString()}, newest first` : `${number.toLocaleString()} ${number === 1 ? "task" : "tasks"}, newest first`;
}

function empty(task) {
  return make(
    "tr", { "data-id": task.id },
    make("td", {}, make("span", { class: "status" })),
    make("td", { class: "name" }, make("a", { href: task.href }, task.name), task.isSubtask ? make("span", { class: "quiet" }, " (sub task)") : null),
    make("td", { class: "template" }, task.template),
    make("td", {}, make("time", { datetime: task.preparedAt, title: task.preparedAt }, time(task.preparedAt))),
    make("td", { class: "number" }),
  );
}

function filled(row, task, now) {
  const status = row.querySelector(".status");
  setText(status, statusLabel(task.status));
  status.className = `status ${task.status}`;
  setText(row.querySelector("a"), task.name); // a name is given at the start, after the id
  const from = task.startedAt && Date.parse(task.startedAt);
  setText(row.lastChild, from ? duration(Date.parse(task.endedAt ?? now) - from) : "");
  return row;
}

function again() {
  pages = 1;
  refresh();
}

byId("search").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(again, TYPING);
});
for (const id of ["status", "template"]) byId(id).addEventListener("change", again);
byId("more").addEventListener("click", () => {
  pages += 1;
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();

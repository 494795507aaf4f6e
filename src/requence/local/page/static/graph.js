// The plan of a task as a drawing whose nodes take the colour of their state.

import { draw, make, setText } from "./dom.js";
import { duration, STATES } from "./format.js";
import { isLive, span, stateOf, taken } from "./task_state.js";

const COLUMN = 210; // from one column to the next, in pixels at full size
const ROW = 62;
const WIDTH = 150;
const HEIGHT = 44;
const MARGIN = 16;
const ROUNDING = 36; // how far lines run straight out of and into boxes before they bend
const INDENT = 12; // from the edge of a box to its text
const EXIT_WIDTH = 90;
const SMALLEST = 0.75; // texts stay readable down to this scale
const MOST_HEIGHT = 0.7; // of the window's height, which the style sheet gives the drawing, too
const NAME_FONT = "600 14px system-ui, sans-serif"; // as the style sheet has it
const EXIT_FONT = "12px system-ui, sans-serif";
const EXTRA_IN_ROW = 4;

const ruler = document.createElement("canvas").getContext("2d");
const segmenter = new Intl.Segmenter();

export class Graph {
  /**
   * `plan` is what the server tells, or null if it does not have the template any more: then nodes appear without
   * lines as updates name them. `zoom` is the button that makes all of it seen. `onChoose` gets the key of a node.
   */
  constructor(holder, plan, zoom, onChoose) {
    Object.assign(this, { holder, zoom, onChoose, boxes: new Map(), lines: [], exits: [], showsAll: false, extra: 0 });
    this.plan = plan ?? { columns: 0, rows: 0, nodes: [], exits: [] };
    this.drawn();
    zoom.addEventListener("click", () => this.toggle());
    new ResizeObserver(() => this.fit()).observe(holder);
  }

  drawn() {
    const { nodes, exits } = this.plan;
    const places = new Map(nodes.map((node) => [node.key, node]));
    this.lineLayer = draw("g", { "aria-hidden": true });
    this.boxLayer = draw("g");
    const label = "Graph of nodes; the arrow keys go from one to the next";
    this.svg = draw("svg", { role: "group", "aria-label": label }, this.lineLayer, this.boxLayer);
    for (const target of [...nodes, ...exits]) {
      for (const line of target.after) {
        const path = draw("path", { d: way(places.get(line.node), line.via, target) });
        this.lineLayer.append(path);
        this.lines.push({ line, path, told: "" });
      }
    }
    for (const node of nodes) this.addBox(node);
    for (const exit of exits) this.addExit(exit);
    this.svg.addEventListener("keydown", (event) => this.moved(event));
    this.holder.replaceChildren(this.svg);
    this.fit();
  }

  addBox(node) {
    const name = node.alias ?? (node.kind === "or" ? "any of" : node.key);
    const sub = draw("text", { x: INDENT, y: 35, class: "node-note" });
    const title = draw("title");
    const group = draw(
      "g",
      {
        class: `node ${node.kind} waiting`, role: "button", tabindex: this.boxes.size === 0 ? 0 : -1,
        transform: `translate(${left(node)} ${middle(node) - HEIGHT / 2})`,
        onclick: () => this.onChoose(node.key),
      },
      title,
      draw("rect", { width: WIDTH, height: HEIGHT, rx: node.kind === "or" ? 22 : 7 }),
      draw("text", { x: INDENT, y: 19, class: "node-name" }, fitted(name, WIDTH - 2 * INDENT, NAME_FONT)),
      sub,
    );
    this.boxLayer.append(group);
    this.boxes.set(node.key, { node, name, group, sub, title, seen: "", label: "" });
  }

  addExit(exit) {
    const name = exit.name ?? "end";
    const group = draw(
      "g",
      { class: "exit", role: "img", "aria-label": `Exit ${name}`, transform: `translate(${left(exit)} ${middle(exit) - 15})` },
      draw("title", {}, name),
      draw("rect", { width: EXIT_WIDTH, height: 30, rx: 15 }),
      draw("text", { x: INDENT, y: 20 }, fitted(name, EXIT_WIDTH - 2 * INDENT, EXIT_FONT)),
    );
    this.boxLayer.append(group);
    this.exits.push({ exit, name, group });
  }

  /** Shows nodes as they are now. Those that the plan does not have find a place below it. */
  show(task, now) {
    for (const [key, node] of task.nodes) {
      if (!this.boxes.has(key)) this.addUnplanned(key, node);
    }
    for (const [key, box] of this.boxes) {
      const node = task.nodes.get(key);
      const state = stateOf(task, key);
      const seen = `${state} ${node?.changes}`;
      if (seen === box.seen && !isLive(node)) continue;
      box.seen = seen;
      showBox(box, node, state, now);
    }
    for (const one of this.lines) {
      const told = `line ${taken(task, one.line).replace(" ", "-")}${one.line.way === "failure" ? " failure" : ""}`;
      if (one.told === told) continue;
      one.told = told;
      one.path.setAttribute("class", told);
    }
    if (task.endedBy !== "taskEnd") return;
    for (const { exit, name, group } of this.exits) {
      if (exit.name !== task.exit) continue;
      group.setAttribute("class", "exit reached");
      group.setAttribute("aria-label", `Exit ${name}: reached`);
    }
  }

  addUnplanned(key, node) {
    const first = this.extra === 0 ? this.plan.rows : this.firstExtraRow;
    this.firstExtraRow = first;
    const column = this.extra % EXTRA_IN_ROW;
    const row = first + Math.floor(this.extra / EXTRA_IN_ROW) + 0.5;
    this.extra += 1;
    this.plan.columns = Math.max(this.plan.columns, column + 1);
    this.plan.rows = Math.max(this.plan.rows, row + 0.5);
    this.addBox({ key, kind: node.kind, alias: key === node.id ? null : key, column, row, after: [] });
    this.fit();
  }

  choose(key) {
    for (const [other, { group }] of this.boxes) {
      group.setAttribute("aria-pressed", String(other === key));
      group.setAttribute("tabindex", other === key ? 0 : -1);
    }
  }

  toggle() {
    this.showsAll = !this.showsAll;
    this.zoom.setAttribute("aria-pressed", String(this.showsAll));
    this.fit();
  }

  fit() {
    const width = Math.max(1, this.plan.columns) * COLUMN - (COLUMN - WIDTH) + 2 * MARGIN;
    const height = Math.max(1, this.plan.rows) * ROW + 2 * MARGIN;
    const room = this.holder.clientWidth || width;
    const fitting = Math.min(1, room / width);
    const whole = Math.min(fitting, (window.innerHeight * MOST_HEIGHT) / height);
    const readable = Math.max(SMALLEST, fitting);
    const scale = this.showsAll ? whole : readable;
    this.zoom.hidden = whole === readable && !this.showsAll;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", Math.floor(width * scale));
    this.svg.setAttribute("height", Math.floor(height * scale));
  }

  /** The arrow keys go to the nearest node in their direction, Enter and the space bar choose. */
  moved(event) {
    const box = [...this.boxes.values()].find(({ group }) => group === event.target);
    if (!box) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onChoose(box.node.key);
      return;
    }
    const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!direction) return;
    event.preventDefault();
    const next = this.nearest(box.node, direction);
    if (!next) return;
    box.group.setAttribute("tabindex", -1);
    next.group.setAttribute("tabindex", 0);
    next.group.focus();
    next.group.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  nearest(from, [right, down]) {
    let best = null;
    let least = Infinity;
    for (const box of this.boxes.values()) {
      const columns = box.node.column - from.column;
      const rows = box.node.row - from.row;
      const ahead = right ? columns * right : rows * down;
      const aside = Math.abs(right ? rows : columns * 4);
      if (ahead <= 0.01 || (down && columns !== 0)) continue;
      const distance = ahead * (right ? 4 : 1) + aside;
      if (distance < least) [best, least] = [box, distance];
    }
    return best;
  }
}

function showBox(box, node, state, now) {
  const { label, sign } = STATES[state];
  const busy = span(node, now);
  const attempts = node && node.attempts.length > 1 ? ` · ${node.attempts.length}×` : "";
  const took = busy && ` ${duration(busy.to - busy.from)}${attempts}`;
  box.group.setAttribute("class", `node ${box.node.kind} ${state}`);
  setText(box.sub, `${sign}${took ?? ` ${label}`}`);
  // How long it takes is named only when that is known: a name that changes all the time would be read all the time.
  const named = `${box.name}: ${label}${busy && !isLive(node) ? `,${took}` : ""}`;
  if (box.label === named) return;
  box.label = named;
  box.group.setAttribute("aria-label", named);
  box.title.textContent = named;
}

/** Fills the legend. */
export function legend(holder) {
  holder.replaceChildren(
    ...Object.entries(STATES).map(([state, { label, sign }]) =>
      make("li", { class: state }, make("span", { "aria-hidden": true, class: "chip" }, sign), ` ${label}`),
    ),
  );
}

function left(box) {
  return MARGIN + box.column * COLUMN;
}

function middle(box) {
  return MARGIN + box.row * ROW;
}

/** A line that leaves a box to the right, goes through its lanes, and reaches the next box from the left. */
function way(source, via, target) {
  let [x, y] = [left(source) + WIDTH, middle(source)];
  const parts = [`M${x} ${y}`];
  const on = (toX, toY) => {
    const bend = Math.min(ROUNDING, (toX - x) / 2);
    parts.push(`C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`);
    [x, y] = [toX, toY];
  };
  for (const [column, row] of via) {
    const [laneX, laneY] = [MARGIN + column * COLUMN, MARGIN + row * ROW];
    on(laneX, laneY);
    parts.push(`H${laneX + WIDTH}`);
    x = laneX + WIDTH;
  }
  on(left(target), middle(target));
  return parts.join("");
}

/** A text that is at most so wide in pixels, with a sign where something was left out. */
function fitted(text, width, font) {
  ruler.font = font;
  const fits = (candidate) => ruler.measureText(candidate).width <= width;
  if (fits(text)) return text;
  const shown = [];
  for (const { segment } of segmenter.segment(text)) {
    if (!fits(`${shown.join("")}${segment}…`)) break;
    shown.push(segment);
  }
  return `${shown.join("")}…`;
}

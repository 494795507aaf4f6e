// The updates, as they come, each with its position. The last ones are kept; the log has them all.

import { make } from "./dom.js";
import { time } from "./format.js";
import { parse } from "./json.js";
import { jsonView } from "./json_view.js";

const KEPT = 500;
const KEPT_CHARACTERS = 20_000_000;
const COMMON = new Set(["timestamp", "taskId", "updateId", "name", "node", "requireAck"]);

export class Updates {
  constructor(list, leftOut) {
    Object.assign(this, { list, leftOut, kept: [], characters: 0, dropped: 0, onlyNode: null });
  }

  /** Adds updates: `{position, type, text, key, at}`. */
  add(updates) {
    if (updates.length === 0) return;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const skipped = Math.max(0, updates.length - KEPT);
    this.dropped += skipped;
    const rows = updates.slice(skipped).map((update) => this.row(update));
    this.list.append(...rows);
    while (this.kept.length > KEPT || (this.characters > KEPT_CHARACTERS && this.kept.length > 1)) {
      const { element, length } = this.kept.shift();
      element.remove();
      this.characters -= length;
      this.dropped += 1;
    }
    this.leftOut.textContent = this.dropped === 0 ? "" : `${this.dropped.toLocaleString()} earlier updates are not shown.`;
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  row({ position, type, text, key, at }) {
    const head = [
      make("span", { class: "position", title: "position" }, position.toLocaleString()),
      make("time", { datetime: at, title: at }, time(at)),
      make("span", { class: "type" }, type),
      make("span", { class: "alias" }, key ?? ""),
    ];
    const details = make("details", {}, make("summary", {}, head));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const own = Object.fromEntries(Object.entries(parse(text)).filter(([name]) => !COMMON.has(name)));
      details.append(jsonView(own, `update ${position}`));
    });
    const element = make("li", { hidden: this.hides(key), class: type }, details);
    this.kept.push({ element, key, length: text.length });
    this.characters += text.length;
    return element;
  }

  /** Shows those of one node only, or all if it is null. */
  show(onlyNode) {
    this.onlyNode = onlyNode;
    for (const { element, key } of this.kept) element.hidden = this.hides(key);
  }

  hides(key) {
    return this.onlyNode !== null && key !== this.onlyNode;
  }
}

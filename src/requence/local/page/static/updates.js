// The updates, as they come, each with its position. The last ones are kept; the log has them all.

import { make, setText } from "./dom.js";
import { time } from "./format.js";
import { parse } from "./json.js";
import { jsonView } from "./json_view.js";

const KEPT = 500;
const KEPT_CHARACTERS = 20_000_000;
const COMMON = new Set(["timestamp", "taskId", "updateId", "name", "node", "requireAck"]);

export class Updates {
  /** `nameOf` gives the name of a node for people. */
  constructor(list, leftOut, nameOf) {
    Object.assign(this, { list, leftOut, nameOf, kept: [], characters: 0, dropped: 0, onlyNode: null });
  }

  /** Takes in an update, `{position, type, text, key, at}`, which is seen from the next `show` on. */
  take(update) {
    this.kept.push({ update, element: null });
    this.characters += update.text.length;
    while (this.kept.length > KEPT || (this.characters > KEPT_CHARACTERS && this.kept.length > 1)) {
      const { update: oldest, element } = this.kept.shift();
      element?.remove();
      this.characters -= oldest.text.length;
      this.dropped += 1;
    }
  }

  show() {
    const added = this.kept.filter(({ element }) => element === null);
    if (added.length === 0) return;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    for (const entry of added) entry.element = this.row(entry.update);
    this.list.append(...added.map(({ element }) => element));
    setText(this.leftOut, this.dropped === 0 ? "" : `${this.dropped.toLocaleString()} earlier updates are not shown.`);
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  row({ position, type, text, key, at }) {
    const head = [
      make("span", { class: "position", title: "position" }, position.toLocaleString()),
      make("time", { datetime: at, title: at }, time(at)),
      make("span", { class: "type" }, type),
      make("span", { class: "alias" }, key === null ? "" : this.nameOf(key)),
    ];
    const details = make("details", {}, make("summary", {}, head));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const own = Object.fromEntries(Object.entries(parse(text)).filter(([name]) => !COMMON.has(name)));
      details.append(jsonView(own, `update ${position}`));
    });
    return make("li", { hidden: this.hides(key), class: type }, details);
  }

  /** Shows those of one node only, or all if it is null. */
  showOnly(node) {
    this.onlyNode = node;
    for (const { update, element } of this.kept) {
      if (element) element.hidden = this.hides(update.key);
    }
  }

  hides(key) {
    return this.onlyNode !== null && key !== this.onlyNode;
  }
}

// A JSON value that folds, copies, and shows long things bit by bit.

import { make } from "./dom.js";
import { shortened } from "./format.js";
import { LargeNumber } from "./json.js";

const OPEN_DEPTH = 2; // what lies deeper is folded at first
const OPEN_ENTRIES = 20; // and so is what has more entries than this
const PAGE = 100; // entries that are shown at once
const LONG_TEXT = 1000; // characters of a text that are shown at first
const MORE_TEXT = 100_000; // and how many more each time that is asked for

/** Returns an element with the value and a button that copies it. `label` says what it is. */
export function jsonView(value, label) {
  const said = make("span", { class: "quiet", role: "status" });
  const button = make("button", { type: "button", class: "small", "aria-label": `Copy ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    said.textContent = (await copied(JSON.stringify(value, null, 2))) ? "copied" : "could not be copied";
    setTimeout(() => (said.textContent = ""), 2000);
  });
  return make("div", { class: "json" }, make("div", { class: "json-tools" }, button, said), shown(value, 0));
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard for pages that come unencrypted from another machine.
    const area = make("textarea", { class: "off-screen" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const worked = document.execCommand("copy");
    area.remove();
    return worked;
  }
}

function shown(value, depth) {
  if (value === null || typeof value === "boolean") return make("span", { class: "word" }, String(value));
  if (typeof value === "number") return make("span", { class: "number" }, String(value));
  if (value instanceof LargeNumber) return make("span", { class: "number" }, value.text);
  if (typeof value === "string") return longText(value, JSON.stringify);
  if (value === undefined) return make("span", { class: "quiet" }, "nothing");
  return folding(value, depth);
}

/** An element with a text, of which more is shown when it is asked for; `written` is how a part of it is written. */
export function longText(value, written = (part) => part) {
  const element = make("span", { class: "text" });
  const more = make("button", { type: "button", class: "small" });
  let end = LONG_TEXT;
  const show = () => {
    if (isHalf(value.charCodeAt(end - 1))) end += 1;
    element.textContent = written(value.slice(0, end));
    more.textContent = `${(value.length - end).toLocaleString()} more characters`;
    if (end >= value.length) more.remove();
  };
  more.addEventListener("click", () => {
    end += MORE_TEXT;
    show();
  });
  show();
  return end >= value.length ? element : make("span", {}, element, " ", more);
}

/** Whether it is the first half of a character of two. */
function isHalf(code) {
  return code >= 0xd800 && code < 0xdc00;
}

/** A field or an item: what it is called, and its value. */
function entry(label, value, depth) {
  const key = make("span", { class: "key" }, `${label}: `);
  if (typeof value !== "object" || value === null || value instanceof LargeNumber) {
    return make("li", {}, key, shown(value, depth));
  }
  return make("li", {}, folding(value, depth, key));
}

function folding(value, depth, key = null) {
  const isList = Array.isArray(value);
  const keys = isList ? null : Object.keys(value);
  const length = isList ? value.length : keys.length;
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (length === 0) return make("span", {}, key, make("span", { class: "mark" }, open + close));
  const what = isList ? (length === 1 ? "item" : "items") : length === 1 ? "field" : "fields";
  const summary = make(
    "summary", {},
    key, make("span", { class: "mark" }, open), make("span", { class: "quiet" }, ` ${length.toLocaleString()} ${what} `),
    make("span", { class: "mark" }, close),
  );
  const details = make("details", {}, summary);
  const entries = make("ul");
  let filled = 0;
  // Only what is looked at is made, so that large and deep values cost nothing.
  const fill = () => {
    const end = Math.min(length, filled + PAGE);
    for (; filled < end; filled++) {
      const name = isList ? filled : keys[filled];
      const label = isList ? `${name}` : JSON.stringify(shortened(name, 200));
      entries.append(entry(label, value[name], depth + 1));
    }
    if (filled < length) {
      const more = make("button", { type: "button", class: "small" }, `${(length - filled).toLocaleString()} more`);
      more.addEventListener("click", () => {
        more.parentElement.remove();
        fill();
      });
      entries.append(make("li", {}, more));
    }
  };
  details.addEventListener("toggle", () => {
    if (details.open && filled === 0) fill();
  });
  details.append(entries);
  if (depth < OPEN_DEPTH && length <= OPEN_ENTRIES) {
    fill();
    details.open = true;
  }
  return details;
}

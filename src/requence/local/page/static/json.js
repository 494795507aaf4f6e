// Reading JSON without changing it: a number that JavaScript cannot hold stays the text that it was.

const MANY_DIGITS = /\d{16}/;

/** A number as its text. */
export class LargeNumber {
  constructor(text) {
    this.text = text;
  }

  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.text) : Number(this.text);
  }
}

export function parse(text) {
  if (!MANY_DIGITS.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== "number" || !context || String(value) === context.source) return value;
    return MANY_DIGITS.test(context.source) ? new LargeNumber(context.source) : value;
  });
}

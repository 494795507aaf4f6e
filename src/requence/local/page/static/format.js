// How times, durations and states are told to people.

/** States of nodes: how each is called, and its sign, so that nothing is told by colour alone. */
export const STATES = {
  waiting: { label: "waiting", sign: "○" },
  running: { label: "running", sign: "▶" },
  deferred: { label: "deferred", sign: "‖" },
  done: { label: "done", sign: "✓" },
  failed: { label: "failed", sign: "✕" },
  stopped: { label: "stopped", sign: "■" },
  unused: { label: "did not run", sign: "–" },
};

export function statusLabel(status) {
  return status.replaceAll("_", " ");
}

/** Milliseconds as a text: 340 ms, 1.2 s, 2 min 3 s, 1 h 5 min. */
export function duration(ms) {
  if (ms < 0) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The time of day, with the date before it unless it is today's. */
export function time(text, now = new Date()) {
  const at = new Date(text);
  const clock = CLOCK.format(at);
  return at.toDateString() === now.toDateString() ? clock : `${DAY.format(at)}, ${clock}`;
}

/** A text that is at most so long, with a sign where something was left out. */
export function shortened(text, length) {
  const characters = [...text.slice(0, length * 2)];
  if (characters.length <= length && text.length <= length * 2) return text;
  return `${characters.slice(0, length - 1).join("")}…`;
}

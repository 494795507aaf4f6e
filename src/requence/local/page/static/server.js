// What the pages ask the server for. The key in the page's own URL opens it.

const key = new URLSearchParams(location.search).get("key") ?? "";

export const taskId = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const TASK = `/page/tasks/${encodeURIComponent(taskId)}`;

const ANSWER = 20_000; // milliseconds that an answer may take
const OPENING = 5000; // milliseconds after which it is told that a stream does not open
export const NO_CONNECTION =
  "The server does not answer in time. Other pages of running tasks may hold the connections: a browser has six to one server";

/** Why something could not be had; `status` is that of HTTP, or 0 if the server was not reached. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function asked(path, parameters, options) {
  const query = new URLSearchParams({ key, ...parameters });
  try {
    const limits = { cache: "no-store", signal: AbortSignal.timeout(ANSWER) };
    const answer = await fetch(`${path}?${query}`, { ...limits, ...options });
    const text = await answer.text();
    if (!answer.ok) throw new Refused(answer.status, text);
    return text;
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(0, error.name === "TimeoutError" ? NO_CONNECTION : "The server does not answer");
  }
}

export async function tasks(parameters) {
  return JSON.parse(await asked("/page/tasks", parameters));
}

/** What there is to know of the task beside its updates; its plan only if that is wanted, since it may be large. */
export async function task(withPlan) {
  return JSON.parse(await asked(TASK, withPlan ? {} : { plan: "no" }));
}

export function abort(reason) {
  return asked(`${TASK}/abort`, {}, { method: "POST", body: reason });
}

export function protect() {
  return asked(`${TASK}/protect`, {}, { method: "POST" });
}

// The updates that there are, by the contract; a browser gives the events of a stream out by name.
const TYPES = [
  "taskStart", "nodeStart", "nodeUpdate", "nodeError", "nodeDefer", "nodeEnd", "taskEnd", "taskError", "taskAborted",
];

/**
 * Follows the task's own event stream, the one that clients follow, after a position. The browser opens it again
 * from the last position when it breaks; what comes twice is left out. Returns what ends that.
 *
 * `onUpdate` gets `{position, type, text}`, `onConnection` "open", "slow", "lost", or "refused", which is the end.
 */
export function follow(after, onUpdate, onConnection) {
  const source = new EventSource(`${TASK}/updates?${new URLSearchParams({ key, after })}`);
  let last = after;
  for (const type of TYPES) {
    source.addEventListener(type, (event) => {
      const position = Number(event.lastEventId);
      if (position <= last) return;
      last = position;
      onUpdate({ position, type, text: event.data });
    });
  }
  const opening = setTimeout(() => onConnection("slow"), OPENING);
  source.addEventListener("open", () => {
    clearTimeout(opening);
    onConnection("open");
  });
  source.addEventListener("error", () => {
    clearTimeout(opening);
    onConnection(source.readyState === EventSource.CLOSED ? "refused" : "lost");
  });
  return () => {
    clearTimeout(opening);
    source.close();
  };
}

// What the pages ask the server for. The key in the page's own URL opens it.

const key = new URLSearchParams(location.search).get("key") ?? "";

export const taskId = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const TASK = `/page/tasks/${encodeURIComponent(taskId)}`;

/** Why something could not be had; `status` is that of HTTP, or 0 if the server was not reached. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function asked(path, parameters, options) {
  const query = new URLSearchParams({ key, ...parameters });
  let answer;
  try {
    answer = await fetch(`${path}?${query}`, { cache: "no-store", ...options });
  } catch {
    throw new Refused(0, "The server does not answer");
  }
  const text = await answer.text();
  if (!answer.ok) throw new Refused(answer.status, text);
  return text;
}

export async function tasks(parameters) {
  return JSON.parse(await asked("/page/tasks", parameters));
}

export async function task() {
  return JSON.parse(await asked(TASK));
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
 * Follows the task's own event stream, the one that clients follow, from its beginning. The browser opens it again
 * from the last position when it breaks; what comes twice is left out.
 *
 * `onUpdate` gets `{position, type, text}`, `onConnection` "open", "lost" or "gone".
 */
export function follow(onUpdate, onConnection) {
  const source = new EventSource(`${TASK}/updates?${new URLSearchParams({ key })}`);
  let last = 0;
  for (const type of TYPES) {
    source.addEventListener(type, (event) => {
      const position = Number(event.lastEventId);
      if (position <= last) return;
      last = position;
      onUpdate({ position, type, text: event.data });
    });
  }
  source.addEventListener("open", () => onConnection("open"));
  source.addEventListener("error", () => {
    onConnection(source.readyState === EventSource.CLOSED ? "gone" : "lost");
  });
  return () => source.close();
}

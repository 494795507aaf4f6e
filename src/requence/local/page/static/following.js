// Follows the updates of the task as long as somebody sees the page, whatever happens to the connection.

import * as server from "./server.js";

const RETRY = 1000; // milliseconds

/**
 * Begins, and returns what ends it. A browser has few connections to one server, so pages that nobody sees leave theirs
 * to others, and go on later where they were.
 *
 * `onUpdate` gets each update once, in order; `onConnection` gets "open", "slow", "lost", or "gone", which is the end.
 */
export function keepFollowing(onUpdate, onConnection) {
  let position = 0;
  let leave = null; // ends the stream that is open, if one is
  let timer = null;
  let ended = false;

  function stop() {
    clearTimeout(timer);
    leave?.();
    leave = null;
  }

  function start() {
    stop();
    if (!ended && !document.hidden) leave = server.follow(position, received, changed);
  }

  function received(update) {
    position = update.position;
    onUpdate(update);
  }

  async function changed(state) {
    if (state !== "refused") {
      onConnection(state);
      return;
    }
    onConnection("lost");
    try {
      await server.task(false);
    } catch (error) {
      if (error.status === 404) {
        end();
        onConnection("gone");
        return;
      }
    }
    if (!ended) timer = setTimeout(start, RETRY);
  }

  function end() {
    ended = true;
    document.removeEventListener("visibilitychange", start);
    stop();
  }

  document.addEventListener("visibilitychange", start);
  start();
  return end;
}

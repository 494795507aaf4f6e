// Asks before a task is aborted, and for the reason.

import { byId } from "./dom.js";
import { abort } from "./server.js";

/** Lets the button open the dialog. */
export function setUpAbort() {
  const dialog = byId("abort-dialog");
  const reason = byId("abort-reason");
  const problem = byId("abort-problem");
  const confirm = byId("abort-confirm");
  byId("abort").addEventListener("click", () => {
    problem.textContent = "";
    dialog.showModal();
    reason.focus();
  });
  byId("abort-cancel").addEventListener("click", () => dialog.close());
  confirm.addEventListener("click", async () => {
    confirm.disabled = true;
    try {
      await abort(reason.value);
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      confirm.disabled = false;
    }
  });
}

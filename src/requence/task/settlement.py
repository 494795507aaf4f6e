"""How a followed task has ended: one outcome for all who wait, fetched and acknowledged as needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

from requence._transport.api import Api, Report
from requence._transport.outcome import SharedOutcome
from requence._transport.started import Started
from requence.exceptions import AckFailedError, FileUnavailableError, RequenceError, TaskException
from requence.task.delivery import delivery
from requence.task.persistent import PersistentMap
from requence.task.poll import poll
from requence.task.result import TaskResult, outcome_of
from requence.task.revive import fetch_into, revived_report
from requence.task.snapshot import FINAL_STATUSES, known_status
from requence.task.updates import Update

__all__ = ["Settlement", "wants_ack"]


class Settlement:
    """The outcome of one task, on the I/O thread.

    Attributes:
        outcome: The result, or the error that says why there is none; None before the end.
        last: The last update, once it has come.
        to_repeat: Whether what comes after the end has failed, and may be tried again.
        has_claims: Whether values of what was seen of the task may still have to be fetched.
        endings: Those who wait.
    """

    def __init__(
        self,
        api: Api,
        started: Started,
        *,
        input: Any,
        task_template: str | None,
        on_fixed: Callable[[], None],
    ) -> None:
        """Prepares to settle.

        Args:
            api: Sends the requests.
            started: The answer to finalize.
            input: What the caller passed, if that is known.
            task_template: For the errors, if it is known.
            on_fixed: A method, called when the outcome is known if its object is still there.
        """
        self.outcome: TaskResult | RequenceError | None = None
        self.last: Update | None = None
        self.to_repeat = False
        self.has_claims = False
        self.endings: list[SharedOutcome[TaskResult]] = []
        self._api = api
        self._started = started
        self._input = input
        self._task_template = task_template
        self._on_fixed = WeakMethod(on_fixed)  # its object has this one, and would else be collected late
        self._settling: asyncio.Task[None] | None = None
        self._delivery = delivery(api, started.task_id)

    async def settle_from(self, update: Update, *, whole: bool) -> None:
        """Settles from the last update of a stream; that of one which began later is only acknowledged.

        What such a stream has not shown is known for certain from the beginning of the log alone, and its last
        update must not wait for that. Whoever wants the outcome follows the task from its beginning.
        """
        if whole or self.last is not None:
            await self.settle(self.last or update)
        elif wants_ack(update):
            await self._delivery.confirm()

    async def settle(self, update: Update) -> None:
        """Fixes the outcome for everybody, once; fetches it and acknowledges it first where that is to be done.

        What has failed of that is tried again.
        """
        if self._settling is None and not self.has_claims and not wants_ack(update):
            if self.outcome is None:
                self.fix(update)
            return
        if self._settling is None or (self._settling.done() and self.to_repeat):
            self._settling = asyncio.create_task(self._settle_once(update))
        await asyncio.shield(self._settling)

    async def final(self, report: Report) -> Report:
        """Returns how a task has ended. Where the service tells that only after the delivery, that is confirmed.

        Raises:
            AckFailedError: It could not be confirmed.
        """
        if known_status(report.status) in FINAL_STATUSES:
            return report
        refused = await self._delivery.confirm()
        if refused is not None:
            raise self._ack_failed(refused, None) from refused
        return await poll(self._api, self._started.task_id, FINAL_STATUSES)

    async def whole(self, update: Update) -> tuple[Update, RequenceError | None]:
        """Returns a last update with values in the places of claim checks, and why the result has one, or None."""
        if not self.has_claims:
            return update, None
        from requence.files.claim_check import ClaimCheck  # few need it

        context = update.context
        seen = {"result": context.result, "node_data": dict(context.node_data), "input": context.input}
        if isinstance(context.input, ClaimCheck) and self._input is not None:
            seen["input"] = self._input  # it was ours, and too large to be sent with the rest
        problems = await fetch_into(seen, self._api.client)
        node_data = PersistentMap[Any](seen["node_data"])
        context = context.replaced(input=seen["input"], result=seen["result"], node_data=node_data)
        return update.with_context(context), problems.get("result")

    def revived(self, report: Report) -> Report:
        """Returns a report with objects in the places of references."""
        report, claims = revived_report(report, self._api.client)
        self.has_claims = self.has_claims or claims
        return report

    def fix(
        self, update: Update, refused: RequenceError | None = None, missing: RequenceError | None = None
    ) -> None:
        """Fixes the outcome.

        Args:
            update: The last update.
            refused: Why its delivery could not be confirmed.
            missing: Why a part of its result could not be fetched.
        """
        outcome = outcome_of(update, task_url=self._started.url, task_template=self._task_template)
        if missing is not None and isinstance(outcome, TaskResult):
            outcome = self._not_fetched(missing, outcome)
        elif refused is not None:
            outcome = self._ack_failed(refused, outcome)
        self.to_repeat = missing is not None or refused is not None
        self.outcome, self.last = outcome, update
        self.answer()
        if (on_fixed := self._on_fixed()) is not None:
            on_fixed()

    def answer(self) -> None:
        """Sets all outcomes that somebody waits for."""
        outcome, endings, self.endings = self.outcome, self.endings, []
        for ending in endings:
            if isinstance(outcome, RequenceError):
                ending.fail(outcome)
            elif outcome is not None:
                ending.set(outcome)

    def fail(self, error: BaseException) -> None:
        """Fails all that somebody waits for; the outcome itself stays open."""
        endings, self.endings = self.endings, []
        for ending in endings:
            ending.fail(error)

    async def _settle_once(self, update: Update) -> None:
        update, missing = await self.whole(update)
        # What was not received whole is not confirmed: the service keeps it.
        refused = await self._delivery.confirm() if missing is None and wants_ack(update) else None
        self.fix(update, refused, missing)

    def _not_fetched(self, missing: RequenceError, outcome: TaskResult) -> TaskException:
        error = TaskException(
            f"The task has succeeded, but a part of its result is not here: {missing.message}",
            result=outcome,
            task_id=self._started.task_id,
            task_url=self._started.url,
            task_template=self._task_template,
            status_code=missing.status_code if isinstance(missing, FileUnavailableError) else None,
            hint="ask for the result again to fetch it again",
        )
        error.__cause__ = missing
        return error

    def _ack_failed(
        self, refused: RequenceError, outcome: TaskResult | TaskException | None
    ) -> AckFailedError:
        failure = outcome if isinstance(outcome, TaskException) else None
        ending = f" ({failure.message})" if failure else ""
        error = AckFailedError(
            f"The task has ended{ending}, but the service did not take the confirmation: {refused.message}",
            result=outcome if isinstance(outcome, TaskResult) else None,
            failure=failure,
            task_id=self._started.task_id,
            task_url=self._started.url,
            task_template=self._task_template,
            hint="ask for the result again to confirm again",
        )
        error.__cause__ = refused
        return error


def wants_ack(update: Update) -> bool:
    """Says whether the service waits for a confirmation that an update has arrived."""
    return getattr(update, "require_ack", None) is True

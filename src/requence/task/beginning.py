"""From what is asked for to what is under way on the I/O thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from requence._client import Client
from requence._transport.io_thread import io_thread
from requence.task.order import Order
from requence.task.reference import TaskRef
from requence.task.updates import Update

if TYPE_CHECKING:
    from requence._token import AccessToken
    from requence.task.run import Run

__all__ = ["begun"]


def begun(
    of: Order | TaskRef,
    token: AccessToken,
    client: Client,
    on_update: Callable[[Update], object] | None = None,
) -> Run:
    """Returns what begins a task, or goes on with it, on the I/O thread."""
    io = io_thread()
    # Which has imported these: with asyncio, for which an import of this module does not wait.
    from requence.task.callbacks import Callbacks
    from requence.task.run import Run

    callbacks = None if on_update is None else Callbacks(io, on_update=on_update)
    if isinstance(of, Order) and of.outgoing:
        from requence.files.pump import pumps_for  # few need it

        of = replace(of, pumps=pumps_for(io, (content for _, content in of.outgoing)))
    return Run(io, token, client, of, callbacks)

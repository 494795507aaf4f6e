"""From the plain JSON of a result to what the caller wants: once for each handle, never on the I/O thread."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from requence._references import Referring
from requence.exceptions import ConfigurationError, TaskException, UsageError
from requence.task.arguments import check_function
from requence.task.result import T_co, TaskResult

__all__ = ["Decoding"]

if TYPE_CHECKING:
    import msgspec

    from requence._transport.io_loop import IOThread

T = TypeVar("T")

_ROOT = re.compile(r"\$(?=[.\[`])")  # what msgspec calls the whole value in the path to a part of it

# What is being decoded here: whoever asks for that from inside of it would wait for itself. It is known on the I/O
# thread too, since what runs there for a caller runs in a copy of the caller's context.
_under_way: ContextVar[tuple[object, ...]] = ContextVar("requence results that are being decoded", default=())


class Decoding(Generic[T_co]):
    """Decodes the result of one handle, when it is first asked for; all who ask are given the same object.

    Blocking callers decode in their own thread, which cannot wait for anything that they hold themselves; for
    awaiting ones it is done on a thread of its own, so that no loop waits for it.

    Attributes:
        given: How it was asked for, as keyword arguments.
    """

    def __init__(
        self,
        task_template: str | None,
        decode: Callable[[Any], T_co] | None = None,
        result_type: type[T_co] | None = None,
    ) -> None:
        """Checks how to decode.

        Args:
            task_template: For the error, if it is known.
            decode: Makes the value out of plain JSON; None with no `result_type` leaves the result plain.
            result_type: The type of the value, for msgspec.

        Raises:
            ConfigurationError: Both were given, or one that cannot do it.
        """
        if decode is not None and result_type is not None:
            raise ConfigurationError(
                "decode and result_type were both given", hint="each says how to read the result: give one"
            )
        self._task_template = task_template
        self.given = {"decode": decode, "result_type": result_type}
        self._decode = check_function("decode", decode)
        self._wanted = "decode failed on its result"
        if result_type is not None:
            self._decode = _converter(result_type)
            self._wanted = f"its result does not fit {_name(result_type)}"
        # By process: what a parent decodes while it forks never ends in the child. And without a lock, which
        # the parent might hold then.
        self._answers: dict[int, Future[TaskResult[T_co] | BaseException]] = {}

    def for_another(self) -> Decoding[T_co]:
        """Returns what decodes the result of another handle in the same way, without checking that again."""
        other = Decoding[T_co].__new__(Decoding)
        vars(other).update(vars(self), _answers={})
        return other

    def blocking(self, plain: TaskResult[Any]) -> TaskResult[T_co]:
        """Returns the result, decoded in this thread if it was not decoded yet.

        Args:
            plain: The result as the service sent it.

        Raises:
            TaskException: It could not be decoded.
            UsageError: Called by the decoding itself.
        """
        if self._decode is None:
            return plain
        while True:
            answer, ours = self._claim()
            if ours:
                self._work(self._decode, plain, answer)
            decoded = answer.result()
            if isinstance(decoded, Exception) or not isinstance(decoded, BaseException):
                return self._checked(decoded, plain)
            # Ctrl-C, `sys.exit`: that was for whoever was decoding, and says nothing of the result.
            self._withdraw(answer)
            if ours:
                raise decoded

    async def awaiting(self, io: IOThread, plain: TaskResult[Any]) -> TaskResult[T_co]:
        """Returns the result like `blocking`, decoded on a thread of its own."""
        decode = self._decode
        return plain if decode is None else await io.run_async(lambda: self._decoded(decode, plain))

    async def _decoded(self, decode: Callable[[Any], T_co], plain: TaskResult[Any]) -> TaskResult[T_co]:
        import asyncio  # here, as below: the handle imports this module, and asyncio takes its time

        while True:
            answer, ours = self._claim()
            if ours:
                self._work_aside(decode, plain, answer)
            decoded = await asyncio.wrap_future(answer)
            if ours or isinstance(decoded, Exception) or not isinstance(decoded, BaseException):
                return self._checked(decoded, plain)
            self._withdraw(answer)

    def _claim(self) -> tuple[Future[TaskResult[T_co] | BaseException], bool]:
        """Returns what holds the answer, once there is one, and whether it is the caller's turn to find it."""
        mine = Future[TaskResult[T_co] | BaseException]()
        mine.set_running_or_notify_cancel()  # so that no waiter who leaves cancels it
        answer = self._answers.setdefault(os.getpid(), mine)
        if answer is mine:
            return answer, True
        # What was begun inside of the decoding, such as a callback, may outlive it, and may ask then.
        if self in _under_way.get() and not answer.done():
            raise UsageError("decode has asked for the result that it is decoding, which would never end")
        return answer, False

    def _withdraw(self, answer: Future[TaskResult[T_co] | BaseException]) -> None:
        """Lets the next one who asks decode again."""
        if self._answers.get(os.getpid()) is answer:
            del self._answers[os.getpid()]

    def _work_aside(
        self,
        decode: Callable[[Any], T_co],
        plain: TaskResult[Any],
        answer: Future[TaskResult[T_co] | BaseException],
    ) -> None:
        context = copy_context()

        def work() -> None:
            context.run(lambda: self._work(decode, plain, answer))

        try:
            threading.Thread(target=work, name="requence-decode", daemon=True).start()
        except RuntimeError:  # the interpreter shuts down; the worker has been there from the beginning
            import asyncio

            asyncio.get_running_loop().run_in_executor(None, work)

    def _work(
        self,
        decode: Callable[[Any], T_co],
        plain: TaskResult[Any],
        answer: Future[TaskResult[T_co] | BaseException],
    ) -> None:
        under_way = _under_way.set((*_under_way.get(), self))
        try:
            answer.set_result(plain.with_result(decode(plain.result)))
        except BaseException as error:
            answer.set_result(error)
        finally:
            _under_way.reset(under_way)

    def _checked(self, decoded: TaskResult[T_co] | BaseException, plain: TaskResult[Any]) -> TaskResult[T_co]:
        if not isinstance(decoded, BaseException):
            return decoded
        which = f"of {self._task_template!r}" if self._task_template else plain.task_id
        raise TaskException(
            f"The task {which} succeeded, but {self._wanted}: {_problem(decoded)}",
            task_id=plain.task_id,
            task_url=plain.task_url,
            task_template=self._task_template,
            result=plain,
            hint="the error's .result has the result as the service sent it",
        ) from decoded


def _converter(result_type: type[T]) -> Callable[[Any], T]:
    """Returns what makes a value of a type out of plain JSON.

    Raises:
        ConfigurationError: Nothing can: msgspec does not know how.
    """
    import msgspec.inspect  # here, since it takes its time and few need it

    try:
        foreign = _foreign_type(msgspec.inspect.type_info(result_type))
    except Exception as error:  # whatever an annotation may raise when it is looked at
        raise _unusable(result_type, str(error)) from error
    if foreign is not None:
        raise _unusable(result_type, f"nothing tells how {_name(foreign)} is written in JSON")

    def convert(value: Any) -> T:
        return msgspec.convert(value, result_type, str_keys=True)

    return convert


def _foreign_type(described: msgspec.inspect.Type) -> Any:
    """Returns a type that msgspec would leave to hooks, in what it tells of another, or None."""
    import msgspec.inspect as told

    rest = [described]
    seen: set[int] = set()
    while rest:
        kind = rest.pop()
        if id(kind) in seen:  # types may contain themselves
            continue
        seen.add(id(kind))
        if isinstance(kind, told.CustomType) and kind.cls is not object and not _is_of_data(kind.cls):
            return kind.cls
        for name in kind.__struct_fields__:
            value = getattr(kind, name)
            parts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            for part in parts:
                inner = part.type if isinstance(part, told.Field) else part
                if isinstance(inner, told.Type):
                    rest.append(inner)
    return None


def _is_of_data(kind: Any) -> bool:
    """Says whether results have objects of a type in them: files, say."""
    return isinstance(kind, type) and issubclass(kind, Referring)


def _unusable(result_type: Any, problem: str) -> ConfigurationError:
    name = _name(result_type)
    validate = "model_validate" if hasattr(result_type, "model_validate") else None
    return ConfigurationError(
        f"result_type is {name}, which cannot be made from JSON: {problem}",
        hint=f"use decode={name}.{validate}" if validate else "use decode= with a function of your own",
    )


def _problem(error: BaseException) -> str:
    """Returns what went wrong, with the path to it where the error tells that."""
    import msgspec

    if not isinstance(error, msgspec.ValidationError):
        return f"{type(error).__name__}: {error}"
    problem, _, place = str(error).rpartition(" - at ")
    if not (place.startswith("`") and place.endswith("`")):  # none, or a text of the type's own
        return f"result: {error}"
    return f"{_ROOT.sub('result', place).replace('`', '')}: {problem}"


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else repr(kind)

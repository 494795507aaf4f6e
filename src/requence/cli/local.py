"""`requence local`: serves the task templates of files and modules."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from requence.cli.child import run_command
from requence.cli.durations import FORMS, read_duration
from requence.cli.loading import LoadError, load_modules
from requence.exceptions import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

    from requence.local import LocalServer, TaskTemplate

__all__ = ["local"]

_NEEDED = ("jsonschema", "starlette", "uvicorn")
_TRIED_PORTS = 100
_LAST_PORT = 65_535
_DEFAULT_DB = Path(".requence", "local.db")


def local(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_MODULE",
            help="Where the task templates are: a file, a folder of files, a module or a package.",
            show_default=False,
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND …]",
            help="Run this with REQUENCE_ACCESS_TOKEN set, stop when it ends, and exit with its status.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65_535,
            help="The port, or the next free one; 0: the one that the file was last served on, or any free one.",
        ),
    ] = 0,
    db: Annotated[
        Path | None,
        typer.Option(
            help=f"The SQLite file to keep everything in.  [default: {_DEFAULT_DB}]", show_default=False
        ),
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Keep nothing when the server stops.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=10_000, help="How many handlers run at once.")] = 8,
    retention: Annotated[
        str, typer.Option(help=f"How long tasks are kept after their end: {FORMS} or forever.")
    ] = "7d",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    allow_network: Annotated[
        bool,
        typer.Option(
            "--allow-network", help="Let --host be an address that other machines can reach. Not encrypted."
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Check all that is sent against the API's contract.")
    ] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Serve the example that is shipped.")] = False,
) -> None:
    """Serve every TaskTemplate of a file, folder, module or package on this machine.

    Without a command the server runs until Ctrl-C. Started again on the same file, it has the same access token
    and port, and takes up the tasks that had not ended.
    """
    if any(find_spec(package) is None for package in _NEEDED):
        _fail("The local server needs packages that are not installed: pip install 'requence[local]'")
    if memory and db is not None:
        _fail("--db and --memory exclude each other")
    kept = _duration(retention)
    if demo:  # then what stands in the place of the target belongs to the command
        command = [*([] if target is None else [target]), *(command or [])]
        target = str(_demo())
    if target is None:
        _fail("Say which templates to serve: a file, a folder, a module or a package", "or --demo")
    templates = _templates(target)

    from requence.local import LocalServer

    _show_logs()
    try:
        place = None if memory else _with_folder(db or _DEFAULT_DB)

        def make(port: int) -> LocalServer:
            return LocalServer(
                *templates,
                port=port,
                db=place,
                host=host,
                allow_network=allow_network,
                workers=workers,
                retention=kept,
                strict=strict,
            )

        with _on_a_free_port(make, port) as server:
            raise typer.Exit(_serve(server, templates, place, command))
    except ConfigurationError as error:
        _fail(str(error), error.hint)


@contextmanager
def _on_a_free_port(make: Callable[[int], LocalServer], port: int) -> Generator[LocalServer]:
    """Runs the server on the port that was asked for, or on the next one that nobody else uses."""
    from requence.local.address import PortTakenError

    taken: list[PortTakenError] = []
    with ExitStack() as stack:
        server: LocalServer | None = None
        while server is None:
            try:
                server = stack.enter_context(make(port))
            except PortTakenError as error:
                taken.append(error)
                if len(taken) == _TRIED_PORTS or error.port == _LAST_PORT:
                    raise taken[0] from None
                port = error.port + 1
        if taken:
            # The access token names the port, so one that was written down before does not lead here.
            _say(
                f"requence: port {taken[0].port} is taken; this is port {port}, with an access token of its own"
            )
        yield server


def _serve(
    server: LocalServer, templates: list[TaskTemplate], place: Path | None, command: list[str] | None
) -> int:
    if command:
        told = f"requence: serving at {server.url} while the command runs; page: {server.page_url}\n"
        return run_command(command, {"REQUENCE_ACCESS_TOKEN": server.access_token}, announcement=told)
    asked = _noted_signals()
    names = ", ".join(template.name for template in templates)
    # The token opens a server that only this machine can reach, so it may stand in this terminal.
    typer.echo(f"Serving {names}\n  at     {server.url}\n  page   {server.page_url}")
    typer.echo(f"  state  {place or 'in memory'}\n")
    typer.echo(f"export REQUENCE_ACCESS_TOKEN={server.access_token}\n\nPress Ctrl-C to stop.")
    asked.wait()
    return 0


def _duration(text: str) -> timedelta | None:
    if text == "forever":
        return None
    try:
        duration = read_duration(text)
    except OverflowError:
        _fail(f"--retention is too long: {text}", "use forever")
    if duration is None:
        _fail(f"--retention takes {FORMS} or forever, not {text}")
    return duration


def _show_logs() -> None:
    """Shows what handlers say with `ctx.debug`, and what the server has to say, from INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.getLogger("requence.local")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _noted_signals() -> threading.Event:
    """Returns what is set when the program is asked to end, from now on."""
    asked = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under `nohup`
        signal.signal(signal.SIGHUP, ask)  # the terminal is closed
    return asked


def _demo() -> Path:
    """The example: in the package as it is installed, in the folder of examples in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "local" / "demo.py"
    return installed if installed.is_file() else package.parents[1] / "examples" / "document_digest.py"


def _templates(target: str) -> list[TaskTemplate]:
    try:
        modules = load_modules(target)
    except LoadError as error:
        _fail(str(error))
    except Exception:  # whatever the user's own code raises while it is imported
        traceback.print_exc()
        _fail(f"{target} could not be imported")
    templates = _templates_of(modules)
    if not templates:
        _fail(
            f"There is no TaskTemplate in {target}",
            'make one at the top level of the module: my_task = TaskTemplate("my-task")',
        )
    return templates


def _templates_of(modules: Iterable[ModuleType]) -> list[TaskTemplate]:
    from requence.local import TaskTemplate

    found = [
        value for module in modules for value in vars(module).values() if isinstance(value, TaskTemplate)
    ]
    return list(dict.fromkeys(found))  # one template may have several names, and be imported elsewhere


def _with_folder(db: Path) -> Path:
    """Makes the folder that the file goes into, if it is missing."""
    folder = db.parent
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.name == _DEFAULT_DB.parent.name and not (folder / ".gitignore").exists():
            # The file holds the access token's secret, which must not end up in a repository.
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        _fail(
            f"The folder {folder} cannot be used: {error.strerror}",
            "choose a file with --db, or use --memory",
        )
    return db


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fail(text: str, hint: str | None = None) -> NoReturn:
    _say(f"requence: {text}")
    if hint:
        _say(f"hint: {hint}")
    sys.stdout.flush()
    raise typer.Exit(2)

"""What all tests share: an environment without credentials, and a local server with a few templates."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from requence.local import LocalServer, NodeContext, TaskTemplate

# Every server of the tests holds what it sends against the contract.
assert LocalServer.__init__.__kwdefaults__ is not None
LocalServer.__init__.__kwdefaults__["strict"] = True

# No test says anything of how fast the machine is.
settings.register_profile("requence", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("requence")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def what_a_module_leaves_open_is_told_there() -> Iterator[None]:
    """Collected at its end, so that an unclosed socket fails the module that has left it, and no later one.

    Until then only what its own tests make is looked at, which is a hundredth of what pytest has made.
    """
    gc.freeze()
    yield
    gc.unfreeze()
    gc.collect()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the access token, the settings or the proxies of whoever runs it."""
    for variable in list(os.environ):
        if variable.startswith("REQUENCE_") or variable.lower().endswith("_proxy"):
            monkeypatch.delenv(variable)


def greeting() -> TaskTemplate:
    """A short template: two nodes, one after the other, with a checked input."""
    template = TaskTemplate(
        "my-template", input_schema={"type": "object", "properties": {"name": {"type": "string"}}}
    )

    @template.node
    def greet(ctx: NodeContext) -> str:
        return f"Hello {ctx.input.get('name', 'nobody')}"

    @template.node(after=greet)
    async def shout(ctx: NodeContext) -> str:
        return str(ctx.input).upper()

    return template


def failing() -> TaskTemplate:
    """A template whose second node fails."""
    template = TaskTemplate("failing")

    @template.node
    def first(ctx: NodeContext) -> int:
        return 1

    @template.node(after=first)
    def second(ctx: NodeContext) -> None:
        raise ValueError("the second node cannot do it")

    return template


def endless(name: str = "endless") -> TaskTemplate:
    """A template that runs until it is aborted."""
    template = TaskTemplate(name)

    @template.node
    def wait(ctx: NodeContext) -> None:
        ctx.terminated.wait()

    return template


def echo() -> TaskTemplate:
    """A template that gives back what it was given."""
    template = TaskTemplate("echo")
    template.node("again")(lambda ctx: ctx.input)
    return template


@pytest.fixture(scope="session")
def shared_server() -> Iterator[LocalServer]:
    """One server for all tests that need nothing special of it."""
    with LocalServer(greeting(), failing(), endless(), echo()) as server:
        yield server


@pytest.fixture
def server(shared_server: LocalServer) -> Iterator[LocalServer]:
    """The shared server, as the default client."""
    with shared_server.use():
        yield shared_server


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""`requence doctor`: says what is installed and configured, and whether the service answers."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from requence.cli.check import Check, Verdict
from requence.cli.installation import installation_checks
from requence.cli.output import ending_well, put, put_json_line
from requence.cli.printable import one_line
from requence.cli.run import AsJson
from requence.cli.status import Status, status_of
from requence.exceptions import RequenceError, TaskNotFoundError

if TYPE_CHECKING:
    from requence._client import Client
    from requence._token import AccessToken

__all__ = ["doctor"]


def doctor(as_json: AsJson = False) -> None:
    """Check the installation, the settings, the access token, and whether the service answers.

    The token is never shown. The service is asked for a task that does not exist, which changes nothing.
    """
    with ending_well(as_json=as_json):
        status = Status.SUCCESS
        for check in _checks():
            (_put_as_json if as_json else _put)(check)
            if check.verdict is Verdict.FAIL and status is Status.SUCCESS:
                status = check.status
        raise typer.Exit(status)


def _checks() -> Iterator[Check]:
    yield from installation_checks()
    try:
        # Here: the checks above are for where the rest may not work.
        from requence._client import default_client

        client = default_client()
    except (RequenceError, ImportError) as error:
        yield _failed("settings", error)
        yield from _skipped("token", "proxy", "certificates", "service", because="the settings are of no use")
        return
    yield _settings(client)
    yield _certificates(client)
    yield from _way_to_the_service(client)


def _settings(client: Client) -> Check:
    from requence._settings import SETTINGS

    # None of these is a secret. What has a variable of its own below is not among them.
    changed = [
        f"{setting.variable}={getattr(client, name)}"
        for name, setting in SETTINGS.items()
        if getattr(client, name) != setting.default
    ]
    return Check("settings", Verdict.OK, ", ".join(changed) or "all as by default")


def _certificates(client: Client) -> Check:
    if client.ca_bundle is None:
        moved = [
            f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)
        ]
        by = f", by {' and '.join(moved)}" if moved else ""
        return Check("certificates", Verdict.OK, f"those that the system trusts{by}")
    return Check("certificates", Verdict.OK, f"those in {client.ca_bundle}, by REQUENCE_CA_BUNDLE")


def _way_to_the_service(client: Client) -> Iterator[Check]:
    try:
        from requence._transport.credentials import located_access_token

        source, token = located_access_token(None, client)
    except (RequenceError, ImportError) as error:
        yield _failed("token", error)
        yield from _skipped("proxy", "service", because="there is no usable access token")
        return
    yield _token(source, token)
    proxy = _checked("proxy", lambda: _proxy(client, token))
    yield proxy
    if proxy.verdict is Verdict.FAIL:
        yield from _skipped("service", because="the proxy is of no use")
    else:
        yield _checked("service", lambda: _service(token))


def _token(source: str, token: AccessToken) -> Check:
    from requence._proxy import is_loopback
    from requence._settings import TOKEN_VARIABLES

    says = f"from {source}, for {token.base_url}"
    values = {os.environ.get(name, "").strip() for name in TOKEN_VARIABLES} - {""}
    if len(values) > 1:
        hint = "unset the one that is not meant"
        return Check("token", Verdict.WARN, f"{says}; {' and '.join(TOKEN_VARIABLES)} differ", hint)
    parts = urlsplit(token.base_url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return Check("token", Verdict.WARN, f"{says}; it is sent there without encryption")
    return Check("token", Verdict.OK, says)


def _proxy(client: Client, token: AccessToken) -> Check:
    from requence._client import reach_of

    host = urlsplit(token.base_url).hostname or ""
    proxy = reach_of(client).proxy_for(token.base_url, host)
    says = "none" if proxy is None else f"{proxy.url}, from {proxy.place}"
    return Check("proxy", Verdict.OK, says)


def _service(token: AccessToken) -> Check:
    from requence.task import get_task

    begin = time.monotonic()
    with suppress(TaskNotFoundError):
        get_task(str(uuid.uuid4()))
    took = time.monotonic() - begin
    return Check("service", Verdict.OK, f"{token.base_url} answers, and accepts the token ({took:.2f} s)")


def _checked(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (RequenceError, ImportError) as error:
        return _failed(name, error)


def _failed(name: str, error: RequenceError | ImportError) -> Check:
    if isinstance(error, ImportError):
        return Check(name, Verdict.FAIL, f"it cannot be imported: {error}", None, Status.REFUSED)
    return Check(name, Verdict.FAIL, error.message, error.hint, status_of(error))


def _skipped(*names: str, because: str) -> Iterator[Check]:
    for name in names:
        yield Check(name, Verdict.SKIPPED, because)


def _put(check: Check) -> None:
    put(f"{check.verdict.value:<8}{check.name:<13}{one_line(check.says)}")
    if check.hint:
        put(f"{'':<21}hint: {one_line(check.hint)}")


def _put_as_json(check: Check) -> None:
    put_json_line(
        "check",
        name=check.name,
        verdict=check.verdict.value,
        says=check.says,
        hint=check.hint,
        exit_status=int(check.status),
    )

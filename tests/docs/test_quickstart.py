"""The quickstart, as a newcomer goes through it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.docs.snippets import project_files, sessions

from requence.local import LocalServer

PAGE = ROOT / "docs" / "quickstart.md"
FILES = project_files(PAGE)


def test_the_first_task_prints_what_the_page_says(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    [(command, printed)] = sessions(PAGE).items()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command.split(),
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.stdout, done.returncode) == (printed, 0), done.stderr


def test_the_first_test_passes(requence_server: LocalServer) -> None:
    names: dict[str, Any] = {}
    exec(FILES["test_hello.py"], names)
    names["test_the_result_is_what_the_template_says"](requence_server)
    assert [task.input for task in requence_server.started()] == [{"name": "Moon"}]

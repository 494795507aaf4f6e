"""What compiles the contract is the same everywhere: pinned, hashed, and with templates that fit it."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import ROOT

RunRegen = Callable[..., "subprocess.CompletedProcess[str]"]

TOOLS = ROOT / "openapi"
TEMPLATE = "endpoint_macros.py.jinja"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A copy of what the compilation is made with, to be damaged at will."""
    return Path(shutil.copytree(TOOLS, tmp_path / "tools"))


def requirements(text: str) -> list[str]:
    """The requirements of a file, each on one line."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_each_package_has_a_version_and_hashes() -> None:
    locked = requirements((TOOLS / "requirements.txt").read_text("utf-8"))
    assert len(locked) > 20
    for line in locked:
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9.]+ (; [^;]*?)?(--hash=sha256:[0-9a-f]{64} ?)+", line), line


def test_what_is_asked_for_is_what_is_locked() -> None:
    """`make relock` was run after the last change of requirements.in."""
    locked = [line.split()[0] for line in requirements((TOOLS / "requirements.txt").read_text("utf-8"))]
    wanted = requirements((TOOLS / "requirements.in").read_text("utf-8"))
    assert len(wanted) == 2
    assert set(wanted) <= set(locked)


def test_the_formatter_is_the_one_of_the_project() -> None:
    """Two versions of one formatter in one repository would be one too many to think of."""
    asked = (TOOLS / "requirements.in").read_text("utf-8")
    (version,) = re.findall(r'"ruff==(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert f"ruff=={version}" in requirements(asked)


@pytest.mark.timeout(300)
def test_another_file_than_the_locked_one_is_not_installed(
    run_regen: RunRegen, contract_path: Path, tools: Path, tmp_path: Path
) -> None:
    (line,) = [
        line
        for line in requirements((tools / "requirements.txt").read_text("utf-8"))
        if line.startswith("mdurl")
    ]
    (tools / "requirements.txt").write_text(
        re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", line), "utf-8"
    )
    venv = tmp_path / "venv"
    done = run_regen(
        spec=contract_path, generated=tmp_path / "out", REGEN_TOOLS=str(tools), REGEN_VENV=str(venv)
    )
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert f"cannot install {tools / 'requirements.txt'}" in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (venv / ".installed").exists()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("pattern", "replacement", "complaint"),
    [
        ("^.{64}", "0" * 64, "was derived from another version"),
        ("^.*\\n", "", "upstream.sha256 says nothing"),
        (r"\Z", f"{'0' * 64}  gone.py.jinja", "gone.py.jinja replaces nothing"),
    ],
    ids=["another hash", "no hash", "no such template"],
)
def test_a_template_that_does_not_fit_the_generator_is_refused(
    run_regen: RunRegen,
    contract_path: Path,
    tools: Path,
    tmp_path: Path,
    pattern: str,
    replacement: str,
    complaint: str,
) -> None:
    record = tools / "templates" / "upstream.sha256"
    record.write_text(re.sub(pattern, replacement, record.read_text("utf-8"), count=1), "utf-8")
    done = run_regen(spec=contract_path, generated=tmp_path / "out", REGEN_TOOLS=str(tools))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert str(tools / "templates" / ("gone.py.jinja" if "gone" in complaint else TEMPLATE)) in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(300)
def test_a_second_template_needs_a_hash_too(
    run_regen: RunRegen, contract_path: Path, tools: Path, tmp_path: Path
) -> None:
    (tools / "templates" / "model.py.jinja").write_text("", "utf-8")
    done = run_regen(spec=contract_path, generated=tmp_path / "out", REGEN_TOOLS=str(tools))
    assert done.returncode == 1
    assert str(tools / "templates" / "model.py.jinja") in done.stderr
    assert TEMPLATE not in done.stderr

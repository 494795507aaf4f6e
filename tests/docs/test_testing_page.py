"""The page on testing tells the truth: its files are a project whose tests pass."""

from __future__ import annotations

import re

import pytest
from tests.conftest import ROOT

pytest_plugins = ["pytester"]

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
FILES = dict(re.findall(r"^```py\n# (\w+)\.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    assert sorted(FILES) == ["billing", "conftest", "templates", "test_billing", "test_templates"]
    pytester.makepyfile(**FILES)
    options = ["-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"]
    result = pytester.runpytest_subprocess(*options, "-p", "no:hypothesispytest", timeout=50)
    result.assert_outcomes(passed=3)

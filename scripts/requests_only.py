"""Leaves of generated modules what builds the request, and takes away what sends it and reads the answer.

    python requests_only.py FOLDER

The operations that open an event stream need this: a generated function that sends them would wait for the end
of an answer that has none. Imports that are not used any more stay; the formatter, which runs next, removes them.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

BUILDER = "_get_kwargs"
NOTE = (
    '"""Builds the request. To send it, and to read the event stream that answers it, is left to you."""\n\n'
)


def request_only(source: str) -> str:
    """Returns a generated module without anything but its imports and the function that builds the request.

    Raises:
        ValueError: There is no such function.
    """
    body = ast.parse(source).body
    kept = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom) or _is_builder(node)]
    if not any(_is_builder(node) for node in kept):
        raise ValueError(f"there is no function {BUILDER}")
    return NOTE + "\n".join(ast.get_source_segment(source, node) or "" for node in kept) + "\n"


def _is_builder(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == BUILDER


if __name__ == "__main__":
    modules = sorted(path for path in Path(sys.argv[1]).glob("*.py") if path.name != "__init__.py")
    if not modules:
        sys.exit(f"there are no modules in {sys.argv[1]}")
    for module in modules:
        module.write_text(request_only(module.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")

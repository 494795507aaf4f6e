"""The modules with types: what they say, that they can be imported, and that type checkers understand them."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from tests.local.api import Connect
from tests.local.contract import fits

from requence.local import LocalServer, TaskTemplate
from requence.local.python_types import Signature, type_files

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "lines", "kind"],
    "properties": {
        "id": {"type": "integer"},
        "kind": {"enum": ["new", "old", 3, None]},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["price"],
                "properties": {"price": {"type": "number"}, "note": {"type": ["string", "null"]}},
            },
        },
        "tags": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "parent": {"$ref": "#/$defs/order-ref"},
        "free": True,
        "never": False,
    },
    "$defs": {
        "order-ref": {
            "type": "object",
            "properties": {"up": {"$ref": "#/$defs/order-ref"}, "all": {"$ref": "#"}},
        }
    },
}
ODD: dict[str, Any] = {
    "type": "object",
    "required": ["with space"],
    "properties": {
        "with space": {"type": "string"},
        "class": {
            "anyOf": [{"type": "integer"}, {"type": "object", "properties": {"x": {"const": 'a"b\n'}}}]
        },
        "__mangled": {"type": "array", "items": {"$ref": "#"}},
        '"""': {"type": "string", "description": '"""\nimport os'},
        "ünï": {"type": "array", "prefixItems": [{"type": "string"}]},
        "callable": {"$ref": "#/$defs/Callable"},
        "nameless": {"type": "object", "properties": {"": {"type": "string"}}, "additionalProperties": False},
    },
    "$defs": {"Callable": {"type": "object", "properties": {"Update": {"type": "object", "properties": {}}}}},
}
RESULT: dict[str, Any] = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}

USES = """
from {order} import start, Input
from {odd} import start as start_odd
from {free} import start as start_free

def right() -> None:
    task = start({{"id": 1, "kind": "new", "lines": [{{"price": 2.5, "note": None}}], "parent": {{"up": {{}}}}}})
    ok: bool = task.sync.result.result["ok"]
    start_odd({{"with space": "x", "class": {{"x": 'a"b\\n'}}, "__mangled": [{{"with space": "y"}}]}}, priority=7)
    start_free([ok])
    later: Input = {{"id": 1, "kind": 3, "lines": []}}
    start(later, name="n", require_ack=True, access_token="t", suppress_branch_warning=True, on_update=print)

def wrong() -> None:
    start({{"id": "1", "kind": "new", "lines": []}})  # wrong
    start({{"id": 1, "kind": "newer", "lines": []}})  # wrong
    start({{"id": 1, "kind": "new"}})  # wrong
    start_odd({{"with space": 5}})  # wrong
    start({{"id": 1, "kind": "new", "lines": []}}).sync.result.result["no"]  # wrong
"""


def written(folder: Path) -> dict[str, str]:
    """The files of three templates in a folder, and a file that uses them."""
    signatures = [
        Signature("order", ORDER, [RESULT]),
        Signature("odd ones", ODD, [RESULT, None]),
        Signature("free", None, []),
    ]
    files = type_files(signatures)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    order, odd, free = (name.removesuffix(".py") for name in files)
    (folder / "uses.py").write_text(USES.format(order=order, odd=odd, free=free), encoding="utf-8")
    return files


def wrong_lines() -> set[int]:
    text = USES.format(order="o", odd="o", free="f")
    return {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# wrong")}


@pytest.mark.timeout(180)
def test_mypy_understands_them(tmp_path: Path) -> None:
    written(tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    found = re.findall(r"^(\S+?):(\d+): error", done.stdout, re.MULTILINE)
    assert {file for file, _ in found} == {"uses.py"}, done.stdout
    assert {int(line) for _, line in found} == wrong_lines(), done.stdout


@pytest.mark.timeout(180)
def test_pyright_understands_them(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--outputjson", f"--pythonpath={sys.executable}"]
    report = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout)
    assert report["summary"]["filesAnalyzed"] == 4
    found = {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in report["generalDiagnostics"]
    }
    assert {file for file, _ in found} == {"uses.py"}, found
    assert {line for _, line in found} == wrong_lines(), found


def test_they_can_be_imported(tmp_path: Path) -> None:
    for name in written(tmp_path):
        spec = importlib.util.spec_from_file_location(f"typed_{name[:-3]}", tmp_path / name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        if name == "odd_ones.py":
            hints = get_type_hints(module.Input)
            assert set(hints) == {"with space", "class", "__mangled", '"""', "ünï", "callable", "nameless"}
            assert module.Input.__required_keys__ == {"with space"}


def test_schemas_that_go_on_for_ever_end() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(150):
        deep = {"type": "array", "items": deep}
    loop: dict[str, Any] = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    }
    elsewhere = {"$ref": "https://example.org/schema.json"}
    nowhere = {"$ref": "#/$defs/missing/at/all"}
    for schema in (deep, loop, elsewhere, nowhere):
        [text] = type_files([Signature("t", schema, [])]).values()
        compile(text, "t.py", "exec")
        assert "Input: TypeAlias = " in text


@pytest.mark.parametrize(
    ("template", "file"),
    [
        ("my-template", "my_template.py"),
        ("../../etc/passwd", "etc_passwd.py"),
        ("C:\\x", "c_x.py"),
        ("1st", "task_1st.py"),
        ("class", "task_class.py"),
        ("CON", "task_con.py"),
        ("JSON", "task_json.py"),
        ("requence", "task_requence.py"),
        ("日本", "template.py"),
        ("__init__", "init.py"),
        ("a" * 300, "a" * 80 + ".py"),
        ("import os; os.abort()", "import_os_os_abort.py"),
    ],
)
def test_file_names_are_plain(template: str, file: str) -> None:
    [(name, text)] = type_files([Signature(template, None, [])]).items()
    assert name == file
    assert f"TEMPLATE = {template!a}\n" in text
    compile(text, name, "exec")


@pytest.mark.parametrize("name", ["None", "none", "true", "False", "class", "x"])
def test_definitions_of_any_name_compile(name: str) -> None:
    schema: dict[str, object] = {
        "$ref": f"#/$defs/{name}",
        "$defs": {name: {"type": "object", "properties": {"a": {}}}},
    }
    for file, text in type_files([Signature("t", schema, [])]).items():
        compile(text, file, "exec")


def test_names_that_become_the_same_stay_apart() -> None:
    names = type_files([Signature(name, None, []) for name in ("a b", "A-B", "a_b", "a b 2")])
    assert list(names) == ["a_b.py", "a_b_2.py", "a_b_3.py", "a_b_2_2.py"]


def test_the_server_gives_them_to_who_has_the_token(connect: Connect) -> None:
    order, evil = TaskTemplate("order", ORDER), TaskTemplate('../"""x')
    for template in (order, evil):
        node = template.node("n")(lambda ctx: ctx.input)
        template.exit(after=node, output_schema=RESULT if template is order else None)
        template.exit("failed", after=node.on_fail, output_schema={"type": "integer"})
    with LocalServer(order, evil) as server:
        api = connect(server)
        answer = api.http.get("/task/types/python")
        assert answer.status_code == 200
        assert fits("TypeFiles", answer.json())
        assert list(answer.json()) == ["order.py", "x.py"]
        assert "class Input(TypedDict):" in answer.json()["order.py"]
        assert "Result: TypeAlias = 'Result1 | int'" in answer.json()["order.py"]
        assert "Result: TypeAlias = 'Any'" in answer.json()["x.py"]
        assert api.http.get("/task/types/python", headers={"Authorization": ""}).status_code == 401
        # What a stub does says nothing about the template; where there is no other, it is told.
        server.stub("order", result=1)
        server.stub("invoice", result=1)
        assert list(api.http.get("/task/types/python").json()) == ["order.py", "x.py", "invoice.py"]
        assert api.http.get("/task/types/python").json()["order.py"] == answer.json()["order.py"]
        # A task is looked at by its id, whatever it is called.
        assert api.http.get("/task/types").status_code == 404


def test_numbers_that_python_does_not_write_are_any() -> None:
    signature = Signature("huge", {"enum": [10**5000, 1]}, [{"const": -(10**5000)}])
    compile(type_files([signature])["huge.py"], "huge.py", "exec")

"""The example template, node by node and as a whole."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from tests.local.api import Api

from requence.local import LocalServer, NodeContext

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "document_digest.py"
TEXT = """# Über Züge

Trains [run](https://trains.example/plan) on rails, ![picture](x.png), see <https://rails.example/a>.

```sh
# no heading
curl https://hidden.example
```

## Tracks ##

Trains don't fly: https://trains.example/why?
"""


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = spec_from_file_location("document_digest_under_test", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def test_the_nodes_by_themselves(example: ModuleType) -> None:
    assert example.headings(NodeContext(TEXT)) == [
        {"level": 1, "text": "Über Züge"},
        {"level": 2, "text": "Tracks"},
    ]
    assert [link["target"] for link in await example.links(NodeContext(TEXT))] == [
        "https://trains.example/plan",
        "https://rails.example/a",
        "https://trains.example/why?",
    ]
    words = example.words(NodeContext("Züge don't stop. Stations, stations!"))
    assert (words["count"], words["different"]) == (5, 4)
    assert words["frequent"] == [("stations", 2)]


def test_the_whole(example: ModuleType, tmp_path: Path) -> None:
    document = tmp_path / "trains.md"
    document.write_text(TEXT, encoding="utf-8")
    with LocalServer(example.digest) as server, Api(server.access_token) as api:
        result = api.run("document-digest", {"path": str(document)})[-1].payload["result"]
        assert result["title"] == "Über Züge"
        assert result["outline"] == ["Über Züge", "  Tracks"]
        assert result["links"] == 3
        assert result["linked_sites"] == ["rails.example", "trains.example"]
        assert result["frequent_words"][0] == "trains"
        last = api.run("document-digest", {"path": str(tmp_path / "nope")})[-1]
        assert last.name == "taskError"
        assert last.payload["reason"] == f"There is no file {tmp_path / 'nope'}"
        refused = api.finalize(api.prepare("document-digest"), {})
        assert refused.status_code == 400
        assert "'path' is a required property" in refused.text

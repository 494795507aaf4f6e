"""Starts a task, shows each update as it arrives, and prints the result.

```
requence local examples/document_digest.py -- python examples/quickstart.py [PATH]
```

It needs a running server that has the template "document-digest", and its token in REQUENCE_ACCESS_TOKEN; the
command above brings both. PATH is a Markdown or text file, by default the README of this repository.
"""

import sys
from pathlib import Path

from requence.exceptions import RequenceError
from requence.task import Task


def main(arguments: list[str]) -> int:
    path = Path(arguments[0]) if arguments else Path(__file__).parent.parent / "README.md"
    if not path.is_file():
        print(f"There is no file {path}", file=sys.stderr)
        return 1
    try:
        digest(path.resolve())
    except RequenceError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1
    return 0


def digest(path: Path) -> None:
    task = Task("document-digest", {"path": str(path)}, name=f"Digest of {path.name}")
    print(f"Task {task.sync.id}\n")

    for update in task.sync.updates:
        alias = update["node"].get("alias", "") if "node" in update else ""
        print(f"{update.position:>4}  {update.type:<12} {alias}")

    report = task.sync.result.result
    print(f"\n{report['title']}")
    print(
        f"  {report['words']} words, about {report['minutes_to_read']} min to read, {report['links']} links"
    )
    print(f"  often: {', '.join(report['frequent_words'])}")
    print(f"  sites: {', '.join(report['linked_sites']) or 'none'}")
    for line in report["outline"]:
        print(f"    {line}")
    print(f"\n{task.sync.url}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A template that reads a Markdown or plain text file and says what is in it.

```
requence local examples/document_digest.py -- python examples/quickstart.py README.md
```

`read` runs first, `words`, `links` and `headings` then run side by side, and `report` puts them together.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from requence.local import NodeContext, TaskTemplate

digest = TaskTemplate(
    "document-digest",
    input_schema={
        "type": "object",
        "required": ["path"],
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": "A text file on this machine."}
        },
    },
)

WORD = re.compile(r"[^\W\d_][\w'-]*")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(\s*<?([^\s)>]+)")
BARE_URL = re.compile(r"(?<![(\w])https?://[^\s<>)\]\"'`]+")
WORDS_PER_MINUTE = 220


@digest.node
def read(ctx: NodeContext) -> str:
    path = Path(ctx.input["path"])
    if not path.is_file():
        ctx.abort(f"There is no file {path}")
    text = path.read_text(encoding="utf-8")
    ctx.debug.info("read", len(text), "characters from", path)
    return text


@digest.node(after=read)
def words(ctx: NodeContext) -> dict[str, Any]:
    found = [word.lower() for word in WORD.findall(ctx.input)]
    # Short words are the mortar of any text and tell nothing about this one.
    telling = Counter(word for word in found if len(word) > 5)
    return {"count": len(found), "different": len(set(found)), "frequent": telling.most_common(8)}


@digest.node(after=read)
async def links(ctx: NodeContext) -> list[dict[str, str]]:
    text = FENCE.sub("", ctx.input)
    named = [{"text": text, "target": target} for text, target in LINK.findall(text)]
    bare = [{"text": url, "target": url} for url in BARE_URL.findall(LINK.sub("", text))]
    return named + bare


@digest.node(after=read)
def headings(ctx: NodeContext) -> list[dict[str, Any]]:
    # A line that starts with # inside a code block is a comment, not a heading.
    text = FENCE.sub("", ctx.input)
    return [{"level": len(marks), "text": title} for marks, title in HEADING.findall(text)]


@digest.node(after=[words, links, headings])
def report(ctx: NodeContext) -> dict[str, Any]:
    found = ctx.input
    title = next((heading["text"] for heading in found["headings"]), Path(ctx.task_input["path"]).name)
    return {
        "title": title,
        "words": found["words"]["count"],
        "minutes_to_read": max(1, round(found["words"]["count"] / WORDS_PER_MINUTE)),
        "frequent_words": [word for word, _ in found["words"]["frequent"]],
        "outline": [f"{'  ' * (heading['level'] - 1)}{heading['text']}" for heading in found["headings"]],
        "links": len(found["links"]),
        "linked_sites": sorted(
            {link["target"].split("/")[2] for link in found["links"] if link["target"].startswith("http")}
        ),
    }


digest.exit(after=report)

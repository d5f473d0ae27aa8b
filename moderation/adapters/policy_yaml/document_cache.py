"""Trees of policy files on disk, by the digest of the text that they were read from.

Reading YAML takes nine tenths of the time that loading policies takes, and of a
thousand files one was edited. What was flawed is read anew, so that this never
changes what is told; a file of the cache that cannot be used is as good as none.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from moderation.adapters.policy_yaml.document import Document, read_document
from moderation.adapters.policy_yaml.tree import (
    Entry,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
)

FORMAT = 1
"""Of the trees; raise it when reading comes to mean something else."""
NAME = "documents.json"


class DocumentCache:
    """Reads texts as `read_document` does, and remembers their trees."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._known = _load(self._path)
        self._used: dict[str, Any] = {}
        self._is_changed = False

    def read(self, text: str) -> Document:
        """See `read_document`."""
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        written = self._used.get(key) or self._known.get(key)
        if written is not None:
            try:
                document = Document(_node(written), ())
            except (TypeError, ValueError, KeyError, IndexError, AttributeError):
                written = None
            else:
                self._used[key] = written
                return document
        document = read_document(text)
        if document.root is not None and not document.flaws:
            self._used[key] = _written(document.root)
            self._is_changed = True
        return document

    def save(self) -> None:
        """Keep what was read this time, and nothing else; does nothing if it cannot be written."""
        if not self._is_changed and self._used.keys() == self._known.keys():
            return
        unfinished = self._path.with_name(f".{NAME}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"format": FORMAT, "documents": self._used}))
            unfinished.replace(self._path)
        except OSError:
            return


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(content, dict) and content.get("format") == FORMAT
    documents = content.get("documents") if is_ours else None
    return documents if isinstance(documents, dict) else {}


def _written(node: Node) -> list[Any]:
    place = [node.place.line, node.place.column]
    if isinstance(node, ScalarNode):
        return [*place, "s", node.value, node.source]
    if isinstance(node, ListNode):
        return [*place, "l", [_written(item) for item in node.items]]
    entries = {
        key: [entry.place.line, entry.place.column, _written(entry.node)]
        for key, entry in node.entries.items()
    }
    return [*place, "m", entries]


def _node(written: list[Any]) -> Node:
    line, column, kind = written[:3]
    place = Place(line, column)
    if kind == "s":
        return ScalarNode(place, written[3], written[4])
    if kind == "l":
        return ListNode(place, [_node(item) for item in written[3]])
    entries = {
        key: Entry(Place(entry[0], entry[1]), _node(entry[2])) for key, entry in written[3].items()
    }
    return MappingNode(place, entries)

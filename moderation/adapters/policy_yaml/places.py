"""Where in a policy's file something stands: what a finding about a policy points at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.files import decode, read_policy_file, stem_of
from moderation.adapters.policy_yaml.tree import (
    Flawed,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    entry_at,
    node_at,
    printable,
)

START = Place(1, 1)


@dataclass(slots=True)
class PolicyPlaces:
    """Finds places in the files of a directory; a file is read when it is first asked for."""

    directory: Path
    _name_by_id: Mapping[str, str] | None = None
    _root_by_id: dict[str, Node | None] = field(default_factory=dict)

    def find(self, policy_id: str, key: str, text: str) -> tuple[str, Place]:
        """The file, as it is shown, and where in it the text, or else the key, stands.

        What comes from a shared list is pointed at by the key that includes it.
        """
        names = self._names()
        name = names.get(policy_id, f"{policy_id}.yaml")
        root = self._root(policy_id, name)
        shown = f"{printable(self.directory.absolute().name)}/{printable(name)}"
        listed = node_at(root, key)
        if text and isinstance(listed, ListNode):
            for item in listed.items:
                if _text_of(item) == text:
                    return shown, item.place
        entry = entry_at(root, key) or entry_at(root, "id")
        return shown, entry.place if entry else START

    def _names(self) -> Mapping[str, str]:
        if self._name_by_id is None:
            inside = (path.name for path in sorted(self.directory.iterdir()))
            self._name_by_id = {stem_of(name): name for name in inside if stem_of(name) != name}
        return self._name_by_id

    def _root(self, policy_id: str, name: str) -> Node | None:
        if policy_id not in self._root_by_id:
            try:
                text = decode(read_policy_file(self.directory, name))
                self._root_by_id[policy_id] = read_document(text).root
            except Flawed:  # it was readable a moment ago; the finding is told all the same
                self._root_by_id[policy_id] = None
        return self._root_by_id[policy_id]


def _text_of(item: Node) -> str | None:
    node = node_at(item, "text") if isinstance(item, MappingNode) else item
    return " ".join(str(node.value).split()) if isinstance(node, ScalarNode) else None

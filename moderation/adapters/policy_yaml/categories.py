"""The file categories.yaml: from its text to the taxonomy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.schema import CategoriesSchema
from moderation.adapters.policy_yaml.tree import Flaw, Node, node_at, quoted
from moderation.adapters.policy_yaml.wording import check, did_you_mean
from moderation.core.taxonomy import OTHER, Category, Taxonomy, is_in_circle

SHOWN_CATEGORIES = 12


@dataclass(frozen=True, slots=True)
class CategoriesFile:
    """What categories.yaml says; `categories` is None if it has a flaw."""

    categories: Taxonomy | None
    flaws: tuple[Flaw, ...]


def parse_categories(text: str) -> CategoriesFile:
    """Read the taxonomy; raises nothing."""
    document = read_document(text)
    root = document.root
    if root is None:
        return CategoriesFile(None, document.flaws or (Flaw(None, "the file is empty"),))
    written, told = check(CategoriesSchema, root)
    flaws = [*document.flaws, *told]
    if written is None or flaws:
        return CategoriesFile(None, tuple(flaws))
    taxonomy = {
        name: Category(name, one.title, one.parent or "")
        for name, one in written.categories.items()
    }
    flaws += _parent_flaws(root, taxonomy)
    return CategoriesFile(None if flaws else MappingProxyType(taxonomy), tuple(flaws))


def category_problem(category_id: str, taxonomy: Mapping[str, Category]) -> str | None:
    """Why a policy cannot have that category, if it cannot."""
    if category_id == OTHER or category_id in taxonomy:
        return None
    known = f"; use one of {', '.join([*sorted(taxonomy)[:SHOWN_CATEGORIES], OTHER])}"
    hint = did_you_mean(category_id, taxonomy) or f"{known}, or add it to categories.yaml"
    return f"category: there is no category {quoted(category_id)}{hint}"


def _parent_flaws(root: Node, taxonomy: Taxonomy) -> Iterator[Flaw]:
    for name, category in taxonomy.items():
        node = node_at(root, "categories", name, "parent")
        path = f"categories.{name}.parent"
        if node is None or not category.parent:
            continue
        if category.parent not in taxonomy:
            hint = did_you_mean(category.parent, taxonomy) or "; add it, or remove this line"
            message = f"there is no category {quoted(category.parent)}{hint}"
            yield Flaw(node.place, f"{path}: {message}")
        elif is_in_circle(name, taxonomy):
            yield Flaw(node.place, f"{path}: {quoted(name)} would be above itself")

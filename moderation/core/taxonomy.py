"""Categories as a tree, so that reports can be rolled up from the particular to the general."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

OTHER = "other"
"""The category of a policy that names none; always known."""


@dataclass(frozen=True, slots=True)
class Category:
    """A group of policies; `parent` is empty at the top."""

    id: str
    title: str
    parent: str = ""


Taxonomy = Mapping[str, Category]


def path_of(category_id: str, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The category and all above it, the most general first; itself alone if there is no tree."""
    return (*reversed(tuple(_above(category_id, taxonomy))), category_id)


def require_tree(taxonomy: Taxonomy) -> None:
    """Raise ValueError if a category is filed wrongly, has an unknown parent, or is in a circle."""
    for name, category in taxonomy.items():
        if category.id != name:
            raise ValueError(f"category {category.id!r} is filed under {name!r}")
        if category.parent and category.parent not in taxonomy:
            raise ValueError(f"category {name!r} has parent {category.parent!r}; there is none")
        if is_in_circle(name, taxonomy):
            raise ValueError(f"category {name!r} is above itself")


def is_in_circle(category_id: str, taxonomy: Taxonomy) -> bool:
    """Whether one comes back to the category on the way up."""
    return category_id in _above(category_id, taxonomy)


def _above(category_id: str, taxonomy: Taxonomy) -> Iterator[str]:
    seen: set[str] = set()
    category = taxonomy.get(category_id)
    while category is not None and category.parent and category.parent not in seen:
        seen.add(category.parent)
        yield category.parent
        category = taxonomy.get(category.parent)

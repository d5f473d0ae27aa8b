"""Trees from disk are those that reading gives, and a broken cache changes nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.policy_yaml.document import Document, read_document
from moderation.adapters.policy_yaml.document_cache import NAME, DocumentCache
from tests.adapters.policy_yaml.writing import GOOD

SHIPPED = Path(__file__).parents[3] / "policies"
TEXTS = [
    GOOD,
    "a: [1, .inf, true, null, 'x', {b: c}]",
    "[]",
    "'text'",
    "7",
    *(path.read_text() for path in sorted(SHIPPED.glob("*.yaml"))),
]


def reread(directory: Path, text: str) -> Document:
    first = DocumentCache(directory)
    first.read(text)
    first.save()
    return DocumentCache(directory).read(text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_tree_from_disk_is_the_same(tmp_path: Path, text: str) -> None:
    assert reread(tmp_path, text) == read_document(text)


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "", "&x a"])
def test_what_is_flawed_is_read_anew_and_told_each_time(tmp_path: Path, text: str) -> None:
    assert reread(tmp_path, text) == read_document(text)
    assert not (tmp_path / NAME).exists()


def test_trees_that_were_not_used_are_forgotten(tmp_path: Path) -> None:
    reread(tmp_path, "a: 1")
    reread(tmp_path, "b: 1")

    assert len(json.loads((tmp_path / NAME).read_text())["documents"]) == 1


def test_nothing_is_written_when_nothing_has_changed(tmp_path: Path) -> None:
    reread(tmp_path, GOOD)
    before = (tmp_path / NAME).stat().st_mtime_ns

    reread(tmp_path, GOOD)

    assert (tmp_path / NAME).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "content", ["no JSON", "[]", "7", '{"format": 0}', '{"format": 1, "documents": 3}']
)
def test_a_cache_that_cannot_be_used_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)

    assert DocumentCache(tmp_path).read(GOOD) == read_document(GOOD)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=8))
def test_a_tree_that_is_none_is_read_anew(
    tmp_path_factory: pytest.TempPathFactory, tree: object
) -> None:
    directory = tmp_path_factory.mktemp("cache")
    reread(directory, GOOD)
    stored = json.loads((directory / NAME).read_text())
    stored["documents"] = dict.fromkeys(stored["documents"], tree)
    (directory / NAME).write_text(json.dumps(stored))

    assert DocumentCache(directory).read(GOOD) == read_document(GOOD)


def test_a_directory_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert reread(tmp_path / "file", GOOD) == read_document(GOOD)


def test_a_source_reads_the_same_policies_through_it(tmp_path: Path) -> None:
    for _ in range(2):
        cache = DocumentCache(tmp_path)
        policy_set = YamlPolicySource(SHIPPED, read=cache.read).load()
        cache.save()

        assert policy_set.version == YamlPolicySource(SHIPPED).load().version

"""A finding points at the text or the key that it is about."""

from pathlib import Path

import pytest

from moderation.adapters.policy_yaml.places import PolicyPlaces
from tests.adapters.policy_yaml.writing import GOOD, write

TEXT = GOOD.replace("  - a pistol\n", "  - {text: a  pistol, weight: 0.5}\n  - {include: bows}\n")


@pytest.mark.parametrize(
    ("key", "text", "line", "column"),
    [
        ("phrases", "a gun", 4, 5),
        ("phrases", "a pistol", 5, 5),
        ("phrases", "a bow", 3, 1),
        ("thresholds", "", 7, 1),
        ("expires", "", 1, 1),
    ],
)
def test_the_place_is_that_of_the_text_or_else_of_its_key(
    tmp_path: Path, key: str, text: str, line: int, column: int
) -> None:
    places = PolicyPlaces(write(tmp_path, x=TEXT))

    file, place = places.find("x", key, text)

    assert (file, place.line, place.column) == ("policies/x.yaml", line, column)


def test_a_file_that_went_away_is_named_all_the_same(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, y="id: [")
    places = PolicyPlaces(directory)
    places.find("x", "id", "")
    (directory / "y.yaml").unlink()

    for policy_id in ("y", "unknown"):
        file, place = places.find(policy_id, "id", "")

        assert file == f"policies/{policy_id}.yaml"
        assert (place.line, place.column) == (1, 1)

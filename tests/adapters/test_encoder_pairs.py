import json
from pathlib import Path

import pytest

from moderation.adapters.encoder_pairs import (
    CURRENT,
    PairStore,
    PairsUnreadable,
    newest_pairing,
    read_pairs,
)
from moderation.core.comparison import Pair, Pairing

PAIRING = Pairing("old", "new", "1")


def a_pair(number: int, pairing: Pairing = PAIRING) -> Pair:
    return Pair(f"{number:016x}", {"weapons": (0.25, 0.5)}, pairing)


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    store = PairStore(tmp_path / "pairs", max_pairs=100)
    written = [a_pair(number) for number in range(5)]

    for pair in written:
        store.record(pair)

    assert read_pairs(tmp_path / "pairs") == written


def test_the_newest_are_kept_within_the_bound(tmp_path: Path) -> None:
    store = PairStore(tmp_path, max_pairs=10)

    for number in range(23):
        store.record(a_pair(number))

    kept = read_pairs(tmp_path)
    assert 5 <= len(kept) <= 10
    assert kept[-1] == a_pair(22)
    assert kept == [a_pair(number) for number in range(23 - len(kept), 23)]


def test_a_restarted_store_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(23):
        PairStore(tmp_path, max_pairs=10).record(a_pair(number))

    assert len(read_pairs(tmp_path)) <= 10
    assert read_pairs(tmp_path)[-1] == a_pair(22)


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    PairStore(tmp_path, max_pairs=10).record(a_pair(1))
    with (tmp_path / CURRENT).open("a") as file:
        file.write('{"content": "00')

    assert read_pairs(tmp_path) == [a_pair(1)]


@pytest.mark.parametrize("score", ["NaN", "Infinity", '"high"'])
def test_a_line_with_a_score_that_is_none_is_left_out(score: str, tmp_path: Path) -> None:
    line = {"content": "01", "old": "a", "new": "b", "policies": "1", "scores": {"x": [0.1, 0.0]}}
    (tmp_path / CURRENT).write_text(json.dumps(line).replace("0.0", score) + "\n")

    with pytest.raises(PairsUnreadable, match="no line of it holds a pair"):
        read_pairs(tmp_path)


def test_a_directory_without_pairs_tells_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(PairsUnreadable, match="start the server with --shadow-encoder"):
        read_pairs(tmp_path)


def test_only_pairs_of_the_same_encoders_and_policies_compare(tmp_path: Path) -> None:
    other = Pairing("old", "new", "2")
    pairs = [a_pair(1, other), a_pair(2), a_pair(3, other)]

    assert newest_pairing(pairs) == [pairs[0], pairs[2]]

"""Stable shares: as large as they say, the same everywhere, and independent of one another."""

import pytest

from moderation.core.sampling import draw

IDS = [f"upload-{number}" for number in range(100_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_of_100_000_ids_is_met_within_half_a_point(share: float) -> None:
    drawn = sum(draw(content_id, "weapons") < share for content_id in IDS)

    assert drawn / len(IDS) == pytest.approx(share, abs=0.005)


def test_draws_are_the_same_on_every_machine_and_for_ever() -> None:
    assert draw("upload-1", "weapons") == 0.4600714385561327
    assert draw("Фото-1", "weapons") == 0.051426100051124794


def test_draws_for_different_purposes_are_independent() -> None:
    both = sum(draw(one, "weapons") < 0.5 and draw(one, "audit/default") < 0.5 for one in IDS)

    assert both / len(IDS) == pytest.approx(0.25, abs=0.005)

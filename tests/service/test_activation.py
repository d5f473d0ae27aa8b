"""What a history of activations says about going back."""

import pytest

from moderation.service.activation import Activation, SetOrigin, source_version, version_before
from tests.builders import NOON


def a_history(told: str) -> tuple[Activation, ...]:
    """Activations from the oldest to the newest, such as "a b<": a rollback has an arrow."""
    return tuple(
        Activation(
            version=one[0],
            activated_at=NOON,
            origin=SetOrigin.ROLLBACK if one.endswith("<") else SetOrigin.SOURCE,
            policies=1,
            owners=(),
            summary="",
        )
        for one in reversed(told.split())
    )


@pytest.mark.parametrize(
    ("told", "version"),
    [("", None), ("a", "a"), ("a b", "b"), ("a b a<", "b"), ("a b a< a", "a"), ("a<", None)],
)
def test_what_the_source_means_is_in_the_history(told: str, version: str | None) -> None:
    assert source_version(a_history(told)) == version


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ("", None),
        ("a", None),
        ("a b", "a"),
        ("a b a", "b"),
        ("a bad a<", None),
        ("z a bad a<", "z"),
        ("z a bad a< a", "z"),
        ("z a bad a< z<", None),
        ("a b a< b", "a"),
        ("a b a< b c", "b"),
        ("a bad a< c", "a"),
        ("a< a", None),
    ],
)
def test_going_back_leads_to_no_set_that_somebody_went_back_from(
    told: str, version: str | None
) -> None:
    assert version_before(a_history(told)) == version

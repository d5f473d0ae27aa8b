import pytest

from moderation.cli.exits import MEANING, Exit, exit_for
from moderation.v1 import moderation_pb2 as pb

ALLOW, REVIEW, BLOCK = pb.ACTION_ALLOW, pb.ACTION_REVIEW, pb.ACTION_BLOCK


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([ALLOW], Exit.ALLOW),
        ([ALLOW, REVIEW, ALLOW], Exit.REVIEW),
        ([REVIEW, BLOCK, ALLOW], Exit.BLOCK),
        ([], Exit.NO_INPUT),
    ],
)
def test_the_strictest_action_is_the_exit_code(actions: list[pb.Action], expected: Exit) -> None:
    assert exit_for(actions) is expected


def test_every_exit_code_is_explained() -> None:
    assert MEANING.keys() == set(Exit)


def test_errors_cannot_be_taken_for_decisions() -> None:
    assert all(code >= 64 for code in Exit if code not in {Exit.ALLOW, Exit.REVIEW, Exit.BLOCK})

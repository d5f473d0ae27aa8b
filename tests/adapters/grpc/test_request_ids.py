"""An id that a caller chose must be of use in a log, and harmless there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.grpc.request_ids import MAX_LENGTH, REQUEST_ID, request_id_from

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


@given(PRINTABLE.filter(lambda text: len(text) <= MAX_LENGTH))
def test_a_well_formed_id_is_taken_as_it_is(sent: str) -> None:
    assert request_id_from([("x-other", "other"), (REQUEST_ID, sent)]) == sent


@pytest.mark.parametrize(
    "sent",
    ["", " ", "two words", "a\nb", "tab\t", "é", "\x7f", "x" * (MAX_LENGTH + 1), b"bytes", "a\n"],
)
def test_any_other_is_replaced(sent: str | bytes) -> None:
    made = request_id_from([(REQUEST_ID, sent)])

    assert made != sent
    assert len(made) == 32
    assert int(made, 16) >= 0


def test_of_several_the_first_counts_and_without_one_each_request_gets_another() -> None:
    assert request_id_from([(REQUEST_ID, "first"), (REQUEST_ID, "second")]) == "first"
    assert request_id_from([]) != request_id_from([])

"""Which answers of an encoder are embeddings."""

import numpy as np
import pytest

from moderation.core.encoder import require_unit_rows
from moderation.core.errors import EncodingFailed

UNIT = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)


def test_unit_rows_pass_as_they_are() -> None:
    assert require_unit_rows(UNIT, rows=2) is UNIT


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1.1])
def test_a_row_that_is_no_unit_vector_is_refused(value: float) -> None:
    spoiled = UNIT.copy()
    spoiled[1] = [value, 0.0]

    with pytest.raises(EncodingFailed, match="not of unit norm"):
        require_unit_rows(spoiled, rows=2)


@pytest.mark.parametrize("rows", [1, 3])
def test_too_many_or_too_few_rows_are_refused(rows: int) -> None:
    with pytest.raises(EncodingFailed, match="with shape"):
        require_unit_rows(UNIT, rows=rows)


def test_a_single_vector_is_no_batch() -> None:
    with pytest.raises(EncodingFailed, match="with shape"):
        require_unit_rows(UNIT[0], rows=2)

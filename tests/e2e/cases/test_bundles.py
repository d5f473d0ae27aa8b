"""Encoders that must not be served: cases 59 to 62. The start ends, and says why."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moderation.cli.exits import Exit
from tests.adapters.encoders.bundles import write_bundle
from tests.adapters.encoders.test_refusals import (
    flipped_bit,
    lying_dimension,
    missing_graph,
    pickle_for_a_graph,
)
from tests.cli.command import moderation
from tests.e2e.cases.conftest import ROOT

pytestmark = pytest.mark.e2e

UNVERIFIED = {"MODERATION_ENCODER__ALLOW_UNVERIFIED": "true"}
"""Else what is wrong with the parity report would be told first."""


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(missing_graph, "image.onnx", marks=pytest.mark.case(59)),
        pytest.param(flipped_bit, "sha256", marks=pytest.mark.case(60)),
        pytest.param(pickle_for_a_graph, "onnxruntime refuses", marks=pytest.mark.case(61)),
        pytest.param(lying_dimension, "shape", marks=pytest.mark.case(62)),
    ],
)
async def test_an_encoder_that_is_not_what_it_says_is_not_served(
    tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    write_bundle(tmp_path)
    spoil(tmp_path)

    policies = str(ROOT / "policies")
    ended = await moderation(
        "serve", "--port", "0", "--policies", policies, "--encoder", tmp_path, env=UNVERIFIED
    )

    assert ended.exit_code == Exit.CONFIG
    assert told in ended.err

"""What hostile uploads may cost; wide margins, for the machine may be shared."""

import pytest

from benchmarks.hostile import LEGAL, MB, Cost, measured
from tests.pictures import UNJUDGEABLE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOST_CPU_S = 0.25
"""Beyond what a small picture in an upload of the size costs. Without load it is 50 ms."""
MOST_MEMORY = 64 * MB


@pytest.fixture(scope="module")
def costs() -> dict[str, Cost]:
    """Of one upload of 8 MiB of each kind."""
    builders = {name: build for name, (build, _) in UNJUDGEABLE.items()}
    with measured() as cost:
        return {name: cost(build()) for name, build in {**LEGAL, **builders}.items()}


@pytest.mark.parametrize("name", sorted(UNJUDGEABLE))
def test_a_hostile_upload_costs_little_more_than_a_small_picture(
    costs: dict[str, Cost], name: str
) -> None:
    """Refused or not: what lies behind its end may mend one that was cut off."""
    legal, hostile = costs["a small jpeg (allowed)"], costs[name]

    assert hostile.cpu_s < legal.cpu_s + MOST_CPU_S
    assert hostile.peak_bytes < legal.peak_bytes + MOST_MEMORY

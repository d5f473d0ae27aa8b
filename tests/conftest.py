"""What holds for every test."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.contracts")

# A shared machine may be slow without any example being so.
settings.register_profile("moderation", deadline=None, max_examples=60)
settings.load_profile("moderation")

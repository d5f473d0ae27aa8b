"""What holds for every test."""

import os

import pytest
from hypothesis import settings

# Before any test imports onnxruntime, which would report its use to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

pytest.register_assert_rewrite("tests.contracts")

# A shared machine may be slow without any example being so.
settings.register_profile("moderation", deadline=None, max_examples=60)
settings.load_profile("moderation")

"""A program that is in no trace pays nothing for those that are."""

import subprocess
import sys

CHECK = """\
import sys
from moderation.client.trace_context import trace_headers
import moderation.client
assert trace_headers() == ()
assert not any(name.startswith("opentelemetry") for name in sys.modules)
"""


def test_a_program_without_opentelemetry_does_not_get_it_from_the_client() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], check=False, timeout=60)

    assert done.returncode == 0

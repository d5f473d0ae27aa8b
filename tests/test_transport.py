"""What the settings make of the port."""

import pytest

from moderation.settings import load_settings
from moderation.transport import certificate_store, endpoint_of
from tests.builders import NOON


@pytest.mark.parametrize(
    ("host", "reflection", "describes_itself"),
    [
        ("127.0.0.1", "auto", True),
        ("0.0.0.0", "auto", False),
        ("0.0.0.0", "on", True),
        ("127.0.0.1", "off", False),
    ],
)
def test_reflection_is_for_those_who_are_on_this_machine(
    host: str, reflection: str, describes_itself: bool
) -> None:
    settings = load_settings({"server": {"host": host, "port": 1, "reflection": reflection}})

    endpoint = endpoint_of(settings, certificate_store(settings, (), now=lambda: NOON))

    assert endpoint.address == f"{host}:1"
    assert endpoint.credentials is None
    assert endpoint.with_reflection is describes_itself

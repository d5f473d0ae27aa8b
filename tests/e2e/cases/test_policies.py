"""Each way to break the policy files of a running server: cases 68 to 80, and 84."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from moderation.client import InvalidRequest, ModerationClient
from tests.certificates import put
from tests.e2e.cases.conftest import ROOT
from tests.e2e.server import Server, until

pytestmark = pytest.mark.e2e

CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
GOOD = "id: broken\ntitle: To be broken\nphrases: [a thing]\nthresholds: {review: 0.5}\n"
FILE = "broken.yaml"
BOMB = "a: &a [x]\nb: [*a, *a]\n"
PATIENCE_S = 20.0

TEXTS: Mapping[str, tuple[int, str, int]] = {
    "syntax": (68, GOOD.replace("[a thing]", "[a thing"), 4),
    "key twice": (69, GOOD + "title: Again\n", 5),
    "unknown key": (70, GOOD + "treshold: 1\n", 5),
    "threshold out of range": (71, GOOD.replace("0.5", "1.5"), 4),
    "no phrases": (72, GOOD.replace("[a thing]", "[]"), 3),
    "aliases": (73, BOMB + GOOD, 1),
    "deep nesting": (74, GOOD.replace("[a thing]", "[" * 5000 + "]" * 5000), 3),
    "tag": (75, GOOD.replace("[a thing]", "!!python/object:os.system [a]"), 3),
    "20 MB": (76, GOOD + "#" * 20_000_000, 0),
    "half-written": (77, GOOD[: len(GOOD) // 2], 3),
}
"""By name: the case, what the file becomes, and the line to be named; 0: it is not even read."""


def failed_reload(server: Server) -> bool:
    return server.metrics()["moderation_policy_reload_failed"] == 1


@contextmanager
def refused(server: Server, client: ModerationClient) -> Iterator[list[str]]:
    """Whatever is done within must be refused; its errors. Afterwards the files must be mended."""
    before = client.moderate(CAT).policy_set_version
    errors: list[str] = []
    yield errors
    until(lambda: bool(client.status().policy_set.last_reload_errors))
    errors += client.status().policy_set.last_reload_errors
    assert client.moderate(CAT).policy_set_version == before
    assert failed_reload(server)


def mended(server: Server, client: ModerationClient) -> None:
    until(lambda: not client.status().policy_set.last_reload_errors)
    assert not failed_reload(server)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.case(case)) for name, (case, *_) in TEXTS.items()],
)
def test_a_broken_file_is_told_at_its_line_and_changes_nothing(
    server: Server, client: ModerationClient, policies: Path, name: str
) -> None:
    _, text, line = TEXTS[name]

    with refused(server, client) as errors:
        put(policies / FILE, text.encode())
    (policies / FILE).unlink()
    mended(server, client)

    place = f"policies/{FILE}:{line}:" if line else f"policies/{FILE}: is too large"
    assert any(error.startswith(place) for error in errors), errors


def link_out(policies: Path) -> None:
    outside = policies.parent / "outside.yaml"
    outside.write_text(GOOD)
    (policies / FILE).symlink_to(outside)


def link_to_nothing(policies: Path) -> None:
    (policies / FILE).symlink_to(policies / "gone.yaml")


def pipe(policies: Path) -> None:
    os.mkfifo(policies / FILE)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(link_out, marks=pytest.mark.case(79)),
        link_to_nothing,
        pytest.param(pipe, marks=pytest.mark.case(80)),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_changes_nothing(
    server: Server,
    client: ModerationClient,
    policies: Path,
    spoil: Callable[[Path], None],
) -> None:
    with refused(server, client) as errors:
        spoil(policies)
    (policies / FILE).unlink()
    mended(server, client)

    assert any(error.startswith(f"policies/{FILE}") for error in errors), errors


@pytest.mark.case(78)
def test_policies_that_are_all_deleted_stay_in_force(
    server: Server, client: ModerationClient, policies: Path
) -> None:
    with refused(server, client) as errors:
        policies.rename(policies.with_name("away"))
    policies.with_name("away").rename(policies)
    mended(server, client)

    assert any("policies" in error for error in errors)


@pytest.mark.case(84)
def test_an_unknown_policy_is_named(client: ModerationClient) -> None:
    with pytest.raises(InvalidRequest, match="nonesuch"):
        client.moderate(CAT, policy_ids=["nonesuch"])

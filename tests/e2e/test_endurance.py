"""What must hold for long: reloads under load never mix versions, and memory stays flat."""

import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from moderation.client import Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.e2e.server import RETURN_WHAT_IS_FREED, Server, running_server
from tests.picture_builders import a_picture, encoded
from tests.pictures import UNJUDGEABLE

SAMPLES = Path(__file__).parents[2] / "samples"
RELOADS = 1000
REQUESTS = 2000
MB = 2**20
ROUNDS = int(os.environ.get("ENDURANCE_ROUNDS", "8"))
"""Of about 670 requests each; 200 make 134,000. Set by `make endurance`."""
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600 + 20 * ROUNDS)]
FORGETFUL = {"MODERATION_CACHE__MAX_BYTES": "16384"}
"""Room for fewer pictures than a round has, so that each of them is decoded each time."""

POLICY = """\
id: {id}
title: Numbered
phrases: [{phrase}]
thresholds: {{review: {review}}}
"""
PHRASES = {"cats": "a cat", "dogs": "a dog", "wine": "a glass of wine"}


def write_policies(directory: Path, number: int) -> None:
    """All of them at one threshold that names the edit, swapped in as Kubernetes does it."""
    fresh = directory / f"..{number}"
    fresh.mkdir()
    for policy_id, phrase in PHRASES.items():
        text = POLICY.format(id=policy_id, phrase=phrase, review=(number + 1) / 10_000)
        (fresh / f"{policy_id}.yaml").write_text(text)
    (directory / "..new").symlink_to(fresh.name)
    (directory / "..new").replace(directory / "..data")


def remove_policies(directory: Path, number: int) -> None:
    for file in (directory / f"..{number}").iterdir():
        file.unlink()
    (directory / f"..{number}").rmdir()


@pytest.fixture
def swapped(tmp_path: Path) -> Path:
    """A directory of links into the one that `..data` names, like a mounted ConfigMap."""
    directory = tmp_path / "policies"
    directory.mkdir()
    write_policies(directory, 0)
    for policy_id in PHRASES:
        (directory / f"{policy_id}.yaml").symlink_to(f"..data/{policy_id}.yaml")
    return directory


@pytest.mark.case(66, 81, 103)
def test_1000_reloads_during_2000_requests_never_mix_two_versions(swapped: Path) -> None:
    cat = (SAMPLES / "cat-portrait.jpg").read_bytes()
    done = threading.Event()
    reloads = 0

    with running_server(swapped) as server, ModerationClient(server.address) as client:

        def edit() -> None:
            nonlocal reloads
            while reloads < RELOADS:
                reloads += 1
                write_policies(swapped, reloads)
                loaded = server.wait_for("policies_loaded")
                assert loaded["policies"] == len(PHRASES)
                remove_policies(swapped, reloads - 1)
            done.set()

        def requests() -> Iterator[Item]:
            for number in itertools.count():
                if number >= REQUESTS and done.is_set():
                    return
                yield Item(cat, str(number))

        with ThreadPoolExecutor(1) as editor:
            editing = editor.submit(edit)
            results = client.moderate_stream(requests(), max_in_flight=4, include_all_verdicts=True)
            decisions = [result.decision for result in results]
            editing.result()
        status = client.status()

    thresholds_by_version: dict[str, set[float]] = {}
    for decision in decisions:
        assert not decision.HasField("failure")
        assert len(decision.verdicts) == len(PHRASES)
        seen = thresholds_by_version.setdefault(decision.policy_set_version, set())
        seen.update(verdict.review_threshold for verdict in decision.verdicts)
    assert len(decisions) >= REQUESTS
    assert all(len(thresholds) == 1 for thresholds in thresholds_by_version.values())
    assert len(thresholds_by_version) > REQUESTS // 40
    assert not status.policy_set.last_reload_errors


def pictures_of_all_kinds() -> list[bytes]:
    """Real pictures, large and small ones, and hostile bytes."""
    pictures = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]
    sizes = ((64, 48), (1920, 1080), (300, 900))
    pictures += [encoded(a_picture(*size), "JPEG") for size in sizes]
    return pictures + [build() for build, _ in UNJUDGEABLE.values()]


class Resources(NamedTuple):
    """What a process holds between requests."""

    rss_mb: float
    descriptors: int
    decoders_rss_mb: float
    """Of all decoding processes together."""


def held_after(client: ModerationClient, server: Server, pictures: Sequence[bytes]) -> Resources:
    """Send each picture, all of which must be answered, and look when nothing is under way."""
    items = (Item(picture, str(number)) for number, picture in enumerate(pictures))
    codes = Counter(result.decision.failure.code for result in client.moderate_stream(items))
    assert sum(codes.values()) == len(pictures)
    assert codes[pb.FAILURE_CODE_SERVICE_UNAVAILABLE] == 0
    process = psutil.Process(server.process.pid)
    decoders = sum(one.memory_info().rss for one in process.children())
    return Resources(process.memory_info().rss / MB, process.num_fds(), decoders / MB)


def held_over(program: str, *, rounds: int) -> tuple[Resources, list[Resources]]:
    """What it holds after two rounds, and after each of so many more."""
    pictures = pictures_of_all_kinds() * 8
    with (
        running_server(
            SAMPLES.parent / "policies", env={**RETURN_WHAT_IS_FREED, **FORGETFUL}, program=program
        ) as server,
        ModerationClient(server.address, timeout_s=60) as client,
    ):
        held_after(client, server, pictures)
        first = held_after(client, server, pictures)
        return first, [held_after(client, server, pictures) for _ in range(rounds)]


def growth_mb(rss_mb: Sequence[float]) -> float:
    """How much higher the floor of the second half is: what decoding needs comes and goes."""
    middle = len(rss_mb) // 2
    return min(rss_mb[middle:]) - min(rss_mb[:middle])


def test_memory_and_descriptors_are_flat() -> None:
    first, readings = held_over("moderation", rounds=ROUNDS)

    print(first, *readings, sep="\n")  # noqa: T201 - the figures are the result
    assert first.rss_mb < 600
    assert growth_mb([one.rss_mb for one in readings]) < 10
    assert growth_mb([one.decoders_rss_mb for one in readings]) < 10
    assert readings[-1].descriptors <= first.descriptors + 2


@pytest.mark.parametrize("place", ["service", "decoders"])
def test_the_same_check_catches_a_planted_leak(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_LEAK", place)

    _, readings = held_over("tests.e2e.leaky", rounds=8)

    in_service = growth_mb([one.rss_mb for one in readings]) > 10
    in_decoders = growth_mb([one.decoders_rss_mb for one in readings]) > 10
    assert (in_service, in_decoders) == (place == "service", place == "decoders")

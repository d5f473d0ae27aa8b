"""What must hold for long: reloads under load never mix versions, and memory stays flat."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from moderation.client import Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.e2e.server import Server, running_server
from tests.picture_builders import a_picture, encoded
from tests.pictures import UNJUDGEABLE

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

SAMPLES = Path(__file__).parents[2] / "samples"
RELOADS = 1000
REQUESTS = 2000
MB = 2**20

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


def requests_of_all_kinds() -> Iterator[Item]:
    """Real pictures, large and small ones, and hostile bytes, over and over."""
    pictures = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]
    sizes = ((64, 48), (1920, 1080), (300, 900))
    pictures += [encoded(a_picture(*size), "JPEG") for size in sizes]
    pictures += [build() for build, _ in UNJUDGEABLE.values()]
    for number, picture in enumerate(itertools.cycle(pictures)):
        yield Item(picture, str(number))


def memory_after(client: ModerationClient, server: Server, items: Iterator[Item], n: int) -> float:
    answered = Counter(
        result.decision.failure.code
        for result in client.moderate_stream(itertools.islice(items, n))
    )
    assert sum(answered.values()) == n
    assert answered[pb.FAILURE_CODE_SERVICE_UNAVAILABLE] == 0
    return float(psutil.Process(server.process.pid).memory_info().rss) / MB


def test_memory_is_small_after_1000_requests_and_flat_from_then_on() -> None:
    policies = SAMPLES.parent / "policies"
    items = requests_of_all_kinds()

    with (
        running_server(policies) as server,
        ModerationClient(server.address, timeout_s=60) as client,
    ):
        after_1000 = memory_after(client, server, items, 1000)
        readings = [memory_after(client, server, items, 500) for _ in range(8)]

    # The floor is what counts: what decoding needs for a moment comes and goes.
    earlier, later = min(readings[:4]), min(readings[4:])
    print(f"MB after 1,000: {after_1000:.0f}; floor then {earlier:.0f}, at the end {later:.0f}")  # noqa: T201 - the figures are the result
    assert after_1000 < 600
    assert later - earlier < 10

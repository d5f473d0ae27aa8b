"""Bytes of every kind, to a real server: cases 1 to 28."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from moderation.client import Action, InvalidRequest, Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.e2e.cases.conftest import ROOT
from tests.e2e.server import Server, running_server
from tests.picture_builders import a_jpeg, turned
from tests.picture_mutants import mutants
from tests.pictures import JUDGEABLE, UNJUDGEABLE

pytestmark = pytest.mark.e2e

CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
ROUNDING = 5e-4
"""Between the two passes of a resize, which a turned picture takes the other way round."""
CRASHES = "MODERATION_CRASH_CORPUS"
"""A directory of a decoder's own test pictures, to be sent too: they are not ours to carry."""
MUTANTS_EACH = 24
ROUNDS = 5
REFUSALS = frozenset(pb.FailureCode.values()) - {
    pb.FAILURE_CODE_UNSPECIFIED,
    pb.FAILURE_CODE_ENCODER_FAILED,
    pb.FAILURE_CODE_SERVICE_UNAVAILABLE,
}
"""What may be said of bytes."""
CASE_BY_PICTURE: Mapping[str, int] = {
    "one byte": 2,
    "text": 3,
    "html": 3,
    "zip": 3,
    "start of a jpeg": 4,
    "truncated jpeg": 4,
    "truncated progressive jpeg": 4,
    "truncated png": 5,
    "bad checksum": 6,
    "png bomb": 7,
    "png bomb of one bit": 8,
    "claims 2^31 pixels a side": 9,
    "zero width": 10,
    "zero height": 10,
    "strip": 11,
    "gif of 10,000 frames": 12,
    "animated gif": 13,
    "animated png": 13,
    "animated webp": 13,
    "huge text": 14,
    "text bomb": 15,
    "international text bomb": 15,
    "corrupt colour profile in a jpeg": 16,
    "corrupt colour profile in a png": 16,
    "cmyk jpeg": 18,
    "ycck jpeg": 18,
    "png of 16-bit grey": 19,
    "png of 16-bit colours": 19,
    "png with alpha": 19,
    "png with a palette and transparency": 19,
    "tiff": 20,
    "eps": 20,
    "svg": 20,
    "psd": 20,
    "dds": 20,
    "jpeg that is a zip too": 21,
    "jpeg of 2,000 scans": 23,
    "corrupt heif": 24,
    "corrupt avif": 24,
}


def with_cases(names: Mapping[str, object]) -> list[object]:
    """Each name as a parameter that knows its case, if it is one."""
    return [
        pytest.param(name, marks=pytest.mark.case(CASE_BY_PICTURE[name]))
        if name in CASE_BY_PICTURE
        else name
        for name in sorted(names)
    ]


def test_every_name_is_a_picture_s() -> None:
    assert CASE_BY_PICTURE.keys() <= JUDGEABLE.keys() | UNJUDGEABLE.keys()


@pytest.mark.case(1)
def test_no_bytes_are_no_request(client: ModerationClient) -> None:
    with pytest.raises(InvalidRequest, match="image"):
        client.moderate(b"")


@pytest.mark.parametrize("name", with_cases(UNJUDGEABLE))
def test_hostile_bytes_are_answered_counted_and_never_allowed(
    client: ModerationClient, server: Server, name: str
) -> None:
    build, code = UNJUDGEABLE[name]
    series = f'moderation_unjudgeable_total{{code="{code.value}"}}'
    before = server.metrics().get(series, 0)

    decision = client.moderate(build())

    assert Action(decision.action) is Action.REVIEW
    assert pb.FailureCode.Name(decision.failure.code) == f"FAILURE_CODE_{code.name}"
    assert str(ROOT) not in str(decision)
    assert server.metrics()[series] == before + 1


@pytest.mark.parametrize("name", with_cases(JUDGEABLE))
def test_odd_pictures_are_judged(client: ModerationClient, name: str) -> None:
    decision = client.moderate(JUDGEABLE[name](), include_all_verdicts=True)

    assert not decision.HasField("failure")
    assert decision.frames_judged >= 1
    assert decision.verdicts


@pytest.mark.case(17)
def test_a_picture_stored_turned_scores_as_the_upright_one(client: ModerationClient) -> None:
    def scores(image: bytes) -> list[float]:
        return [one.score for one in client.moderate(image, include_all_verdicts=True).verdicts]

    upright = scores(turned(1))

    for orientation in range(2, 9):
        assert scores(turned(orientation)) == pytest.approx(upright, abs=ROUNDING)


@pytest.mark.case(22)
@pytest.mark.parametrize("name", ["photo.png", "photo.exe", "photo"])
def test_a_name_decides_nothing(client: ModerationClient, name: str) -> None:
    assert not client.moderate(a_jpeg(), content_id=name).HasField("failure")


def crash_corpus() -> dict[str, bytes]:
    """Our own, and a decoder's where somebody has put one there."""
    named = os.environ.get(CRASHES)
    files = [one for one in sorted(Path(named).rglob("*")) if one.is_file()] if named else []
    images = [*mutants(MUTANTS_EACH), *(one.read_bytes() for one in files)]
    return {str(number): image for number, image in enumerate(images) if image}


def decided(client: ModerationClient, images: Mapping[str, bytes]) -> dict[str, pb.Decision]:
    """The service's decision on each; what a slow machine had no time for is asked again."""
    decisions: dict[str, pb.Decision] = {}
    for _ in range(ROUNDS):
        left = [Item(image, key) for key, image in images.items() if key not in decisions]
        if not left:
            break
        answers = {one.content_id: one.decision for one in client.moderate_stream(left)}
        assert answers.keys() == {item.content_id for item in left}
        decisions |= {
            key: decision
            for key, decision in answers.items()
            if decision.failure.code != pb.FAILURE_CODE_SERVICE_UNAVAILABLE
        }
    return decisions


@pytest.mark.case(25, 26)
@pytest.mark.timeout(1200)
def test_pictures_that_could_crash_a_decoder_are_answered(client: ModerationClient) -> None:
    images = crash_corpus()

    decisions = decided(client, images)

    assert decisions.keys() == images.keys()
    failures = Counter(one.failure.code for one in decisions.values() if one.HasField("failure"))
    assert failures.keys() <= REFUSALS
    # Spoiled indeed: some are pictures still, and the others are wrong in several ways.
    assert 0 < failures.total() < len(images)
    assert len(failures) >= 3
    for decision in decisions.values():
        assert decision.frames_judged or decision.HasField("failure")
        assert Action(decision.action) is not Action.ALLOW or not decision.HasField("failure")


@pytest.mark.case(27)
def test_an_embedding_that_is_no_number_is_unjudgeable(policies: Path) -> None:
    with (
        running_server(policies, program="tests.e2e.spoiled") as server,
        ModerationClient(server.address, timeout_s=30) as client,
    ):
        decision = client.moderate(CAT)

    assert Action(decision.action) is Action.REVIEW
    assert decision.failure.code == pb.FAILURE_CODE_ENCODER_FAILED


@pytest.mark.case(28)
def test_the_same_id_twice_is_judged_twice_alike(client: ModerationClient) -> None:
    one, other = (client.moderate(CAT, content_id="same") for _ in range(2))

    assert one.decision_id != other.decision_id
    assert (one.action, one.content_id) == (other.action, other.content_id)


@pytest.mark.case(102)
def test_5_corrupt_in_400_cost_nobody_else(client: ModerationClient) -> None:
    def item(number: int) -> Item:
        broken = number % 80 == 0
        return Item(UNJUDGEABLE["bad checksum"][0]() if broken else CAT, f"item-{number}")

    results = list(client.moderate_stream(map(item, range(400))))

    failed = {one.content_id for one in results if one.decision.HasField("failure")}
    assert len({one.content_id for one in results}) == len(results) == 400
    assert failed == {f"item-{number}" for number in range(0, 400, 80)}

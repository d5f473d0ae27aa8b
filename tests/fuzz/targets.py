"""What is fuzzed: one function each, which raises on anything but a proper answer."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from google.protobuf.message import DecodeError

from moderation.adapters.grpc.convert import (
    content_from_proto,
    options_from_proto,
    priority_from_proto,
)
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.content import Content, PixelSpec
from moderation.core.errors import InvalidRequest, PolicySetRejected, UnjudgeableContent
from moderation.service.lanes import Priority
from moderation.v1 import moderation_pb2 as pb
from tests.pictures import JUDGEABLE, UNJUDGEABLE

ROOT = Path(__file__).parents[2]
PIXELS = PixelSpec(size_px=64)
MAX_PIXELS = 1_000_000
"""Less than a server allows: a mutant is to show a fault, not to take its legal second."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function that must survive any bytes, and bytes to start from."""

    once: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    max_bytes: int


decoder = PillowDecoder(
    PIXELS, DecodeLimits(max_pixels=MAX_PIXELS, max_animation_pixels=MAX_PIXELS)
)


def require(holds: bool, what: object) -> None:
    """Raise AssertionError with what was seen."""
    assert holds, what


def decode_image(image: bytes) -> None:
    """Frames of the right shape, or UnjudgeableContent that shows none of the bytes."""
    try:
        frames = decoder.decode(image)
    except UnjudgeableContent as refusal:
        require(refusal.message.isprintable(), refusal)
        return
    assert frames.dtype == np.uint8
    assert frames.shape[1:] == (PIXELS.size_px, PIXELS.size_px, 3)
    assert len(frames) >= 1


def read_request(message: bytes) -> None:
    """A request that parses becomes values, or names the field that is wrong."""
    request = pb.ModerateRequest()
    try:
        request.ParseFromString(message)
    except DecodeError:
        return
    try:
        content = content_from_proto(request.content, lambda: "made up")
        options_from_proto(request.options)
        priority_from_proto(request.options, Priority.INTERACTIVE)
    except InvalidRequest as refusal:
        require(bool(refusal.field) and refusal.problem.isprintable(), refusal)
        return
    assert content.image if isinstance(content, Content) else content.uri
    assert content.content_id.isprintable()


def read_policy(text: bytes) -> None:
    """A policy, or problems, each with its file and a line that exists."""
    with TemporaryDirectory() as directory:
        (Path(directory) / "policy.yaml").write_bytes(text)
        try:
            YamlPolicySource(Path(directory)).load()
        except PolicySetRejected as rejected:
            lines = len(re.split(rb"\r\n|\r|\n|\xc2\x85|\xe2\x80[\xa8\xa9]", text))
            there = all(problem.line <= lines + 1 for problem in rejected.problems)
            require(bool(rejected.problems) and there, rejected)


def pictures() -> Iterator[bytes]:
    """Good and hostile pictures, the small ones of those that the tests know."""
    for build in (*JUDGEABLE.values(), *(build for build, _ in UNJUDGEABLE.values())):
        yield build()


def requests() -> Iterator[bytes]:
    """Messages with every field set in turn."""
    content = pb.Content(image=b"bytes of an image", content_id="an-id")
    yield pb.ModerateRequest(content=content).SerializeToString()
    options = pb.ModerateOptions(
        profile="strict", policy_ids=["weapons"], include_all_verdicts=True
    )
    yield pb.ModerateRequest(content=content, options=options).SerializeToString()


def policies() -> Iterator[bytes]:
    """The shipped ones."""
    for path in sorted((ROOT / "policies").glob("*.yaml")):
        yield path.read_bytes()


TARGETS: Mapping[str, Target] = {
    "image": Target(decode_image, pictures, max_bytes=100_000),
    "request": Target(read_request, requests, max_bytes=4096),
    "policy": Target(read_policy, policies, max_bytes=4096),
}

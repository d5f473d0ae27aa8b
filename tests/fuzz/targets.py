"""What is fuzzed: one function each, which raises on anything but a proper answer."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from moderation.adapters.grpc.convert import (
    content_from_proto,
    options_from_proto,
    priority_from_proto,
)
from moderation.adapters.grpc.messages import careful
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.content import Content, PixelSpec
from moderation.core.errors import InvalidRequest, PolicySetRejected, UnjudgeableContent
from moderation.service.lanes import Priority
from moderation.v1 import moderation_pb2 as pb
from tests.builders import a_policy_set
from tests.pictures import JUDGEABLE, UNJUDGEABLE

ROOT = Path(__file__).parents[2]
PIXELS = PixelSpec(size_px=64)
POLICIES = a_policy_set()
MAX_FIELDS = 1000
MESSAGE_BYTES = 100_000
SLOW_S_A_BYTE = 2e-6
"""A parser takes a hundredth of that; atheris makes Python several times as slow."""
MAX_PIXELS = 1_000_000
"""Less than a server allows: a mutant is to show a fault, not to take its legal second."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function that must survive any bytes, and bytes to start from."""

    once: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    max_bytes: int
    slow_s_a_byte: float = 1.0
    """Processor time beyond which each byte costs too much, above what any input may take."""


decoder = PillowDecoder(
    PIXELS, DecodeLimits(max_pixels=MAX_PIXELS, max_animation_pixels=MAX_PIXELS)
)

SERVICE = "/moderation.v1.ModerationService"
take_request = careful(pb.ModerateRequest.FromString, f"{SERVICE}/Moderate", most=MAX_FIELDS)
take_batch = careful(
    pb.ModerateBatchRequest.FromString, f"{SERVICE}/ModerateBatch", most=MAX_FIELDS
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
    """A request that is taken becomes values and names that are known, or the field is named."""
    request = take_request(message)
    try:
        if isinstance(request, InvalidRequest):
            raise request
        assert isinstance(request, pb.ModerateRequest)
        read_options(request.options)
        read_content(request.content)
    except InvalidRequest as refusal:
        require_told(refusal)


def read_batch(message: bytes) -> None:
    """A batch that is taken has few contents, and what is wrong with one is wrong with that one."""
    batch = take_batch(message)
    try:
        if isinstance(batch, InvalidRequest):
            raise batch
        assert isinstance(batch, pb.ModerateBatchRequest)
        require(len(batch.contents) <= MAX_FIELDS, len(batch.contents))
        read_options(batch.options)
    except InvalidRequest as refusal:
        require_told(refusal)
        return
    for content in batch.contents:
        try:
            read_content(content)
        except InvalidRequest as refusal:
            require_told(refusal)


def read_options(options: pb.ModerateOptions) -> None:
    """Raise InvalidRequest for what nothing can be judged by."""
    asked = options_from_proto(options)
    POLICIES.profile(asked.profile)
    POLICIES.require_policies(asked.policy_ids)
    priority_from_proto(options, Priority.INTERACTIVE)


def read_content(message: pb.Content) -> None:
    """Raise InvalidRequest for what cannot be judged, whatever the image."""
    content = content_from_proto(message, lambda: "made up")
    assert content.image if isinstance(content, Content) else content.uri
    assert content.content_id.isprintable()


def require_told(refusal: InvalidRequest) -> None:
    """Raise AssertionError unless its field is named, and nothing that breaks a line of a log."""
    require(bool(refusal.field) and refusal.problem.isprintable(), refusal)


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
    options.policy_ids[:] = ["gore"] * 5000
    yield pb.ModerateRequest(content=content, options=options).SerializeToString()


def batches() -> Iterator[bytes]:
    """Two contents, and many that are empty."""
    contents = [pb.Content(image=b"bytes"), pb.Content(uri="https://example.org/a.png")]
    options = pb.ModerateOptions(policy_ids=["weapons"])
    yield pb.ModerateBatchRequest(contents=contents, options=options).SerializeToString()
    yield pb.ModerateBatchRequest(contents=[pb.Content()] * 5000).SerializeToString()


def policies() -> Iterator[bytes]:
    """The shipped ones."""
    for path in sorted((ROOT / "policies").glob("*.yaml")):
        yield path.read_bytes()


TARGETS: Mapping[str, Target] = {
    "image": Target(decode_image, pictures, max_bytes=100_000),
    "request": Target(read_request, requests, MESSAGE_BYTES, SLOW_S_A_BYTE),
    "batch": Target(read_batch, batches, MESSAGE_BYTES, SLOW_S_A_BYTE),
    "policy": Target(read_policy, policies, max_bytes=4096),
}

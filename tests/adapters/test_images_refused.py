"""What the decoder refuses, and that hostile bytes get nothing else out of it."""

import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderation.adapters.images import DecodeLimits, PillowDecoder, decoder
from moderation.adapters.images.survey import Format, Survey
from moderation.core.content import Pixels, PixelSpec
from moderation.core.errors import FailureCode, UnjudgeableContent
from tests.picture_builders import (
    a_gif,
    a_jpeg,
    a_png,
    a_webp,
    animated,
    chunk,
    gif_of_dots,
    gif_with_hidden_frame,
    grey_of_16_bits,
    palette_with_transparency,
    png_header,
    progressive_jpeg_with_scans,
    some_frames,
)
from tests.pictures import UNJUDGEABLE

SIZE = 32
SPEC = PixelSpec(SIZE)
LIMITS = DecodeLimits()
ANIMATED = ("GIF", "PNG", "WEBP")
BASES = (
    a_jpeg(),
    a_jpeg(progressive=True),
    a_png(),
    a_webp(),
    a_gif(),
    *(animated(image_format, some_frames(4)) for image_format in ANIMATED),
)


def decode(image: bytes, spec: PixelSpec = SPEC, limits: DecodeLimits = LIMITS) -> Pixels:
    return PillowDecoder(spec, limits).decode(image)


def refusal(image: bytes, limits: DecodeLimits = LIMITS) -> UnjudgeableContent:
    with pytest.raises(UnjudgeableContent) as refused:
        decode(image, limits=limits)
    return refused.value


@pytest.mark.parametrize("name", UNJUDGEABLE)
def test_unjudgeable_bytes_are_refused_with_their_reason(name: str) -> None:
    build, code = UNJUDGEABLE[name]

    refused = refusal(build())

    assert refused.code is code
    assert refused.message


def test_no_bytes_are_no_image() -> None:
    assert refusal(b"").code is FailureCode.NOT_AN_IMAGE


@pytest.mark.parametrize("counts", [(0,), (1,), (4,), (2, 2)])
def test_an_animation_that_lies_about_its_frames_is_refused(counts: tuple[int, ...]) -> None:
    animation = animated("PNG", some_frames(3))
    start = animation.index(b"acTL") - 4
    honest = animation[start : start + 20]
    lies = b"".join(chunk(b"acTL", count.to_bytes(4, "big") + bytes(4)) for count in counts)

    assert refusal(animation.replace(honest, lies)).code is FailureCode.CORRUPT


SCANS = progressive_jpeg_with_scans(0).count(b"\xff\xda")
PNG_BYTES = len(a_png())


@pytest.mark.parametrize(
    ("image", "enough", "too_little", "code"),
    [
        (
            a_png(),
            DecodeLimits(max_image_bytes=PNG_BYTES),
            DecodeLimits(max_image_bytes=PNG_BYTES - 1),
            FailureCode.TOO_MANY_BYTES,
        ),
        (
            a_png(),
            DecodeLimits(max_pixels=96 * 64),
            DecodeLimits(max_pixels=96 * 64 - 1),
            FailureCode.TOO_MANY_PIXELS,
        ),
        (
            a_png(),
            DecodeLimits(max_aspect_ratio=1.5),
            DecodeLimits(max_aspect_ratio=1.49),
            FailureCode.BAD_DIMENSIONS,
        ),
        (
            a_png(),
            DecodeLimits(min_side_px=64),
            DecodeLimits(min_side_px=65),
            FailureCode.BAD_DIMENSIONS,
        ),
        (
            gif_of_dots(20),
            DecodeLimits(max_frames=20),
            DecodeLimits(max_frames=19),
            FailureCode.TOO_MANY_FRAMES,
        ),
        (
            gif_of_dots(20),
            DecodeLimits(max_animation_pixels=20 * 256),
            DecodeLimits(max_animation_pixels=20 * 256 - 1),
            FailureCode.TOO_COSTLY,
        ),
        (
            progressive_jpeg_with_scans(3),
            DecodeLimits(max_scans=SCANS + 3),
            DecodeLimits(max_scans=SCANS + 2),
            FailureCode.TOO_COSTLY,
        ),
    ],
)
def test_each_limit_is_exact(
    image: bytes, enough: DecodeLimits, too_little: DecodeLimits, code: FailureCode
) -> None:
    assert len(decode(image, limits=enough)) >= 1
    assert refusal(image, too_little).code is code


def test_running_out_of_memory_is_a_refusal() -> None:
    side = 2**31 - 1
    image = png_header(side, side) + chunk(b"IDAT", b"x") + chunk(b"IEND")

    refused = refusal(image, DecodeLimits(max_pixels=2**62))

    assert refused.code is FailureCode.TOO_LARGE
    assert "memory" in refused.message


def test_scans_hidden_behind_a_false_end_are_counted() -> None:
    image = progressive_jpeg_with_scans(60)
    first_scan = image.index(b"\xff\xda")
    later = image.index(b"\xff\xda", first_scan + 2)
    false_end = b"\xff\xfe\x00\x04\xff\xd9"

    assert refusal(image[:later] + false_end + image[later:]).code is FailureCode.TOO_COSTLY


def test_a_message_says_what_was_found_and_what_is_allowed() -> None:
    message = refusal(a_png(), DecodeLimits(max_pixels=5000)).message

    assert "96 x 64" in message
    assert "5000" in message


def test_a_message_names_the_formats_and_holds_nothing_of_the_file() -> None:
    refused = refusal(b"<secret>/etc/passwd</secret>")

    assert "JPEG, PNG, WebP, GIF" in refused.message
    assert "secret" not in refused.message


def assert_decoded_or_refused(image: bytes) -> None:
    try:
        frames = decode(image)
    except UnjudgeableContent:
        return
    assert frames.dtype == np.uint8
    assert frames.shape[1:] == (SIZE, SIZE, 3)


@given(base=st.sampled_from(BASES), share=st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_no_truncation_gets_past_as_anything_but_a_picture_or_a_refusal(
    base: bytes, share: float
) -> None:
    assert_decoded_or_refused(base[: int(len(base) * share)])


@pytest.mark.case(26)
@given(
    base=st.sampled_from(BASES),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), min_size=1),
    at_the_front=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_no_mutation_gets_past_as_anything_but_a_picture_or_a_refusal(
    base: bytes, changes: list[tuple[float, bytes]], at_the_front: bool
) -> None:
    reach = min(len(base), 300) if at_the_front else len(base)
    mutant = bytearray(base)
    for place, replacement in changes:
        start = int(place * reach)
        mutant[start : start + len(replacement)] = replacement

    assert_decoded_or_refused(bytes(mutant))


@given(st.binary(max_size=200), st.sampled_from([base[:16] for base in BASES] + [b""]))
@settings(deadline=None)
def test_noise_gets_past_as_nothing(noise: bytes, start: bytes) -> None:
    assert_decoded_or_refused(start + noise)


@given(
    kind=st.sampled_from(
        [b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"eXIf", b"iTXt", b"zTXt"]
    ),
    body=st.binary(max_size=40),
    base=st.sampled_from(
        [a_png(), palette_with_transparency(), grey_of_16_bits(), animated("PNG", some_frames(3))]
    ),
    cut=st.integers(0, 200),
)
@settings(max_examples=200, deadline=None)
def test_no_chunk_with_a_right_checksum_gets_past_as_anything_else(
    kind: bytes, body: bytes, base: bytes, cut: int
) -> None:
    header = 33
    assert_decoded_or_refused(base[:header] + chunk(kind, body) + base[header + cut :])
    assert_decoded_or_refused(base[:header] + chunk(kind, body) + base[header:])


def test_pillow_has_to_keep_to_the_limits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the survey to miss a frame, Pillow must not set memory aside for it."""
    hidden = gif_with_hidden_frame()
    seen = Survey(format=Format.GIF, width=16, height=16, encoded=hidden, frames=2)
    monkeypatch.setattr(decoder, "survey_image", lambda _: seen)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with pytest.raises(UnjudgeableContent, match="cannot be decoded"):
        PillowDecoder(SPEC, LIMITS).decode(hidden)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb < 64

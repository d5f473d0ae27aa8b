"""What becomes of pictures: the pixels that the encoder gets."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.core.content import Crop, Interpolation, Pixels, PixelSpec
from tests.picture_builders import (
    GREY,
    RGB,
    TURNED_AWAY,
    a_gif,
    a_jpeg,
    a_picture,
    a_png,
    a_webp,
    animated,
    chunk,
    cmyk,
    colour_of_16_bits,
    encoded,
    exif,
    gif_of_dots,
    grey_of_16_bits,
    half_transparent,
    palette_with_transparency,
    png_of_rows,
    png_with,
    polyglot,
    some_frames,
    turned,
)
from tests.pictures import JUDGEABLE

SIZE = 32
SPEC = PixelSpec(SIZE)
WHITE = 255
LIMITS = DecodeLimits()
ANIMATED = ("GIF", "PNG", "WEBP")


def decode(image: bytes, spec: PixelSpec = SPEC, limits: DecodeLimits = LIMITS) -> Pixels:
    return PillowDecoder(spec, limits).decode(image)


def reference(image: Image.Image, size: int = SIZE, fraction: float = 1.0) -> Pixels:
    """The plain way: cut the centre of the whole picture, and resize it in one step."""
    side = min(image.size) * fraction
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    resized = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized)


def distance(one: Pixels, other: Pixels) -> float:
    """Mean difference of two pictures, in levels of 255."""
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("name", JUDGEABLE)
def test_judgeable_pictures_become_frames_of_the_size_asked_for(name: str) -> None:
    frames = decode(JUDGEABLE[name]())

    assert frames.dtype == np.uint8
    assert frames.shape[1:] == (SIZE, SIZE, 3)
    assert len(frames) >= 1


@pytest.mark.parametrize(
    "build", [a_png, a_webp, lambda: encoded(a_picture(), "PNG", compress_level=0)]
)
def test_lossless_pictures_match_the_plain_way(build: Callable[[], bytes]) -> None:
    frames = decode(build())

    assert distance(frames[0], reference(a_picture())) == 0


@pytest.mark.parametrize("width", [96, 320, 1000, 1999])
def test_jpegs_decoded_at_a_smaller_scale_stay_close_to_the_plain_way(width: int) -> None:
    picture = a_picture(width, width * 2 // 3)

    frames = decode(encoded(picture, "JPEG", quality=95, subsampling=0))

    assert distance(frames[0], reference(picture)) < 1.5


def test_large_pngs_reduced_in_two_steps_stay_close_to_the_plain_way() -> None:
    picture = a_picture(1501, 1001)

    assert distance(decode(a_png(picture))[0], reference(picture)) < 0.5


def test_the_centre_is_cut_as_far_as_the_encoder_asks() -> None:
    spec = PixelSpec(SIZE, crop_fraction=0.5)

    frames = decode(a_png(), spec)

    assert distance(frames[0], reference(a_picture(), fraction=0.5)) == 0


def test_a_squashed_picture_keeps_all_of_its_edges() -> None:
    picture = Image.new("RGB", (90, 30), "green")
    picture.paste((255, 0, 0), (0, 0, 15, 30))

    squashed = decode(a_png(picture), PixelSpec(SIZE, crop=Crop.SQUASH))
    cut = decode(a_png(picture))

    assert squashed[0, SIZE // 2, 0].tolist() == [255, 0, 0]
    assert cut[0, SIZE // 2, 0].tolist() == [0, 128, 0]


def test_the_filter_is_the_one_that_the_encoder_asks_for() -> None:
    picture = a_png(Image.effect_noise((200, 200), 90))

    bilinear = decode(picture, PixelSpec(SIZE, interpolation=Interpolation.BILINEAR))
    bicubic = decode(picture, PixelSpec(SIZE, interpolation=Interpolation.BICUBIC))

    assert bilinear.std() < bicubic.std()


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNED_AWAY)
@pytest.mark.parametrize("crop", Crop)
def test_exif_orientation_is_undone(image_format: str, orientation: int, crop: Crop) -> None:
    spec = PixelSpec(SIZE, crop=crop)

    frames = decode(turned(orientation, image_format), spec)

    # Rows and columns are filtered in the other order, and rounded in between.
    difference = np.abs(frames.astype(int) - decode(a_png(), spec))
    assert difference.max() <= 1


@pytest.mark.parametrize("orientation", TURNED_AWAY)
def test_exif_orientation_of_a_jpeg_is_undone(orientation: int) -> None:
    frames = decode(turned(orientation, "JPEG"))

    assert distance(frames[0], reference(a_picture())) < 3


def test_exif_is_read_in_both_byte_orders() -> None:
    big, little = (decode(a_jpeg(exif=exif(3, order))) for order in "><")

    assert np.array_equal(big, little)
    assert not np.array_equal(big, decode(a_jpeg()))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_means_upright(orientation: int) -> None:
    assert np.array_equal(decode(a_jpeg(exif=exif(orientation))), decode(a_jpeg()))


def test_colours_for_print_are_turned_into_colours_for_screens() -> None:
    frames = decode(cmyk())

    assert distance(frames[0], reference(a_picture())) < 8


def test_transparent_parts_are_white() -> None:
    frame = decode(half_transparent())[0]

    assert frame[16, 2].tolist() == [WHITE, WHITE, WHITE]
    assert frame[16, 29].tolist() == [0, 128, 0]


def test_transparency_of_a_palette_is_kept() -> None:
    middle = decode(palette_with_transparency(), PixelSpec(48))[0, 24]

    assert middle[2].tolist() == [255, 0, 0]
    assert middle[24].tolist() == [WHITE, WHITE, WHITE]
    assert middle[45] == pytest.approx([127, 127, 127], abs=1)


@pytest.mark.parametrize("value", [0x0000, 0x00FF, 0x8000, 0xFFFF])
def test_sixteen_bits_of_grey_are_scaled_and_not_clipped(value: int) -> None:
    frames = decode(grey_of_16_bits(value))

    assert set(frames.ravel().tolist()) == {value >> 8}


def test_sixteen_bits_of_colour_are_scaled() -> None:
    assert decode(colour_of_16_bits())[0, 0, 0].tolist() == [0x40, 0x80, 0xC0]


@pytest.mark.parametrize(
    ("depth", "colours", "row", "transparent"),
    [
        (1, GREY, b"\xff" * 4, [1]),
        (2, GREY, b"\x55" * 8, [1]),
        (4, GREY, b"\x55" * 16, [5]),
        (8, GREY, b"\x55" * 32, [0x55]),
        (16, GREY, b"\x55\x66" * 32, [0x5566]),
        (8, RGB, b"\x55\x66\x77" * 32, [0x55, 0x66, 0x77]),
        (16, RGB, b"\x55\x00\x66\x00\x77\x00" * 32, [0x5500, 0x6600, 0x7700]),
    ],
)
def test_a_transparent_colour_is_white_at_every_depth(
    depth: int, colours: int, row: bytes, transparent: list[int]
) -> None:
    values = b"".join(value.to_bytes(2, "big") for value in transparent)
    image = png_of_rows([row] * 32, 32, depth, colours, chunk(b"tRNS", values))

    assert decode(image).min() == WHITE


def test_what_follows_the_end_of_a_picture_is_ignored() -> None:
    assert np.array_equal(decode(polyglot()), decode(a_jpeg()))
    assert np.array_equal(decode(a_png() + a_gif()), decode(a_png()))
    assert np.array_equal(decode(a_webp() + bytes(99)), decode(a_webp()))
    assert np.array_equal(decode(a_gif() + gif_of_dots(2000)), decode(a_gif()))


def test_metadata_changes_no_pixel() -> None:
    texts = chunk(b"tEXt", b"a\0b") + chunk(b"zTXt", b"a\0\0rubbish") + chunk(b"iTXt", b"a\0\1")

    assert np.array_equal(decode(png_with(texts)), decode(a_png()))
    assert np.array_equal(decode(a_jpeg(comment=b"x" * 9000)), decode(a_jpeg()))


@pytest.mark.parametrize("image_format", ANIMATED)
def test_frames_are_evenly_spaced_from_the_first_to_the_last(image_format: str) -> None:
    options = {"lossless": True} if image_format == "WEBP" else {}
    animation = animated(image_format, some_frames(9), **options)

    frames = decode(animation, limits=DecodeLimits(max_frames_judged=3))

    assert frames[:, 0, 0, 0].tolist() == pytest.approx([0, 127, 255], abs=4)


def test_every_frame_of_a_short_animation_is_judged() -> None:
    assert (
        len(decode(animated("GIF", some_frames(5)), limits=DecodeLimits(max_frames_judged=8))) == 5
    )


def test_a_still_picture_before_an_animation_is_judged_too() -> None:
    animation = animated("PNG", some_frames(3), default_image=True)

    assert len(decode(animation)) == 3


def test_frames_drawn_over_earlier_ones_show_both() -> None:
    background, dot = Image.new("RGB", (32, 32), "white"), Image.new("RGB", (32, 32), "white")
    dot.paste((0, 0, 0), (0, 0, 8, 8))

    last = decode(animated("GIF", [background, dot]))[-1]

    assert last[2, 2].tolist() == [0, 0, 0]
    assert last[30, 30].tolist() == [WHITE, WHITE, WHITE]


def test_many_threads_may_decode_at_once() -> None:
    decoder, expected = PillowDecoder(SPEC, LIMITS), decode(a_jpeg())
    barrier = threading.Barrier(4)

    def decode_together(_: int) -> bool:
        barrier.wait()
        return all(np.array_equal(decoder.decode(a_jpeg()), expected) for _ in range(5))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(decode_together, range(4)))

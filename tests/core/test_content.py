"""What may be judged, and under which names."""

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.content import MAX_CONTENT_ID_LENGTH, Content, PixelSpec
from moderation.core.errors import InvalidRequest


@pytest.mark.parametrize(
    "content_id",
    [
        "upload-1",
        "листинг/42/фото.jpg",
        "a b",
        "..hidden",
        "v1..v2",
        "2026-03-01T12:00:00Z",
        "👍",
        "x" * MAX_CONTENT_ID_LENGTH,
    ],
)
def test_ordinary_ids_are_taken(content_id: str) -> None:
    assert Content(b"x", content_id).content_id == content_id


@pytest.mark.parametrize(
    "content_id",
    [
        "../etc/passwd",
        "a/../b",
        "a/..",
        "..",
        "/etc/passwd",
        "..\\windows",
        "a\\..\\b",
        "\\\\server\\share",
    ],
)
def test_ids_that_look_like_paths_out_are_refused(content_id: str) -> None:
    with pytest.raises(InvalidRequest, match="path out of a directory"):
        Content(b"x", content_id)


@pytest.mark.parametrize(
    ("character", "what"),
    [
        ("\x00", "NUL"),
        ("\n", "newline"),
        ("\r", "carriage return"),
        ("\t", "tab"),
        ("\x1b", "escape"),
        ("\x7f", "delete"),
        ("\x85", "next line"),
        ("\u2028", "line separator"),
        ("\u2029", "paragraph separator"),
        ("\u202e", "right-to-left override"),
        ("\u2066", "left-to-right isolate"),
        ("\u200b", "zero-width space"),
        ("\u200d", "zero-width joiner"),
        ("\ufeff", "byte order mark"),
        ("\u00ad", "soft hyphen"),
        ("\ud800", "lone surrogate"),
        ("\ue000", "private use"),
        ("\u00a0", "no-break space"),
    ],
)
def test_ids_with_characters_that_cannot_be_seen_are_refused(character: str, what: str) -> None:
    with pytest.raises(InvalidRequest, match="control or invisible") as caught:
        Content(b"x", f"up{character}load")

    assert caught.value.field == "content.content_id", what
    assert character not in str(caught.value)


@pytest.mark.parametrize("length", [0, MAX_CONTENT_ID_LENGTH + 1])
def test_ids_of_no_or_too_great_length_are_refused_by_their_length(length: int) -> None:
    with pytest.raises(InvalidRequest, match=f"has {length} characters; 1 to 256"):
        Content(b"x", "x" * length)


@given(st.text(max_size=300))
def test_an_id_that_is_taken_fits_on_one_log_line(content_id: str) -> None:
    with suppress(InvalidRequest):
        taken = Content(b"x", content_id).content_id

        assert taken.splitlines() == [taken]
        assert {unicodedata.category(character)[0] for character in taken} <= set("LMNPSZ")


def test_an_upload_without_bytes_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Content(b"", "upload-1")

    assert caught.value.field == "content.image"


def test_the_bytes_of_an_upload_are_not_shown() -> None:
    assert "secret" not in repr(Content(b"secret", "upload-1"))


@pytest.mark.parametrize(("size_px", "fraction"), [(0, 1.0), (224, 0.0), (224, 1.5)])
def test_a_size_that_no_picture_can_have_is_refused(size_px: int, fraction: float) -> None:
    with pytest.raises(ValueError, match="no picture fits"):
        PixelSpec(size_px, crop_fraction=fraction)

"""Fields are counted as a parser would find them, before there is a parser."""

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.grpc.fields import count_fields, nested_in
from moderation.v1 import moderation_pb2 as pb

POOL = descriptor_pool.Default()
BATCH = nested_in(POOL.FindMessageTypeByName("moderation.v1.ModerateBatchRequest"))
ENOUGH = 10_000


def counted(message: bytes, most: int = ENOUGH) -> int:
    return count_fields(message, BATCH, most=most)


contents = st.builds(
    pb.Content, image=st.binary(max_size=300), content_id=st.text(max_size=9), uri=st.text()
)
options = st.builds(
    pb.ModerateOptions,
    profile=st.text(),
    policy_ids=st.lists(st.text(max_size=9), max_size=5),
    priority=st.sampled_from([0, 1, 2]),
)


@given(
    batch=st.builds(
        pb.ModerateBatchRequest, contents=st.lists(contents, max_size=5), options=options
    )
)
def test_every_field_of_every_message_counts(batch: pb.ModerateBatchRequest) -> None:
    asked = batch.options
    in_contents = sum(1 + len(content.ListFields()) for content in batch.contents)
    in_options = len(asked.ListFields()) + len(asked.policy_ids) - bool(asked.policy_ids)

    assert counted(batch.SerializeToString()) == in_contents + 1 + in_options


@given(message=st.binary(max_size=200))
def test_what_can_be_parsed_can_be_counted(message: bytes) -> None:
    try:
        batch = pb.ModerateBatchRequest.FromString(message)
    except DecodeError:
        return
    if not any(byte & 7 in (3, 4) for byte in message):  # groups, which are not ours
        assert counted(message) >= len(batch.contents) + len(batch.options.policy_ids)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"", 0),
        (b"\x0a\x00" * 3, 3),
        (b"\x0a\x04\x0a\x00\x0a\x00", 3),
        (b"\x0a\x80\x80\x00", 1),
        (b"\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1),
        (b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x7a\x02\x0a\x00", 3),
    ],
    ids=["empty", "contents", "in a content", "a long zero", "a long number", "unknown"],
)
def test_fields_of_every_kind(message: bytes, fields: int) -> None:
    pb.ModerateBatchRequest.FromString(message)

    assert counted(message) == fields


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\x03\x0a\x05abcde",
        b"\x0a\x02\x78\xff\x01",
        b"\x78" + b"\xff" * 10 + b"\x01",
        b"\x79\x00",
        b"\x7b\x7c",
        b"\x7f",
    ],
    ids=["no length", "short", "beyond", "a number beyond", "endless", "fixed", "group", "type 7"],
)
def test_what_does_not_end_where_it_should_is_not_counted(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        counted(message)


def test_counting_stops_where_it_is_too_much() -> None:
    assert counted(b"\x0a\x00" * 1_000_000 + b"\xff", most=100) == 101

"""One object a line, whatever is in it, and no change goes unnoticed."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.decision_log.lines import (
    BEGINNING,
    Kind,
    LineUnsound,
    Position,
    as_json,
    erased_line,
    read_line,
    write_line,
)


@given(st.text(max_size=300))
def test_any_text_stays_on_its_line(text: str) -> None:
    raw, position = write_line(Kind.DECISION, as_json({"content_id": text}), Position())

    assert raw.count(b"\n") == 1
    assert len(raw.decode("ascii").splitlines()) == 1
    assert json.loads(raw)["content_id"] == text
    line = read_line(raw)
    assert line.fields["content_id"] == text
    assert line.position == position
    assert line.follows(BEGINNING)


@given(st.data())
def test_a_byte_that_was_changed_is_found(data: st.DataObject) -> None:
    raw, _ = write_line(
        Kind.DECISION, as_json({"content_id": "them", "action": "BLOCK"}), Position()
    )
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != raw[place]))
    changed = raw[:place] + bytes([byte]) + raw[place + 1 :]

    try:
        line = read_line(changed)
    except LineUnsound:
        return
    # What is left is the chain's own checksum, which the chain tells.
    assert not line.follows(BEGINNING)


@given(st.integers(0, 200))
def test_a_line_that_was_cut_short_is_found(length: int) -> None:
    raw, _ = write_line(Kind.DECISION, as_json({"content_id": "x" * 60}), Position())

    with pytest.raises(LineUnsound, match=r"cut short|changed"):
        read_line(raw[: min(length, len(raw) - 1)])


def test_a_line_in_which_another_seems_to_be_is_read_as_a_whole() -> None:
    fake = '"}\n{"schema":1,"seq":9,"kind":"decision","digest":"' + "0" * 64
    raw, _ = write_line(Kind.DECISION, as_json({"content_id": fake}), Position())

    assert read_line(raw).fields["content_id"] == fake


def test_an_erased_line_has_the_length_and_the_place_in_the_chain_and_nothing_else() -> None:
    raw, position = write_line(
        Kind.DECISION, as_json({"content_id": "them", "x": "y" * 99}), Position()
    )
    following, _ = write_line(Kind.DECISION, as_json({"content_id": "others"}), position)
    line = read_line(raw)

    erased = erased_line(line, len(raw), {"erased_at": "2026-03-01T12:00:00+00:00"})

    assert len(erased) == len(raw)
    assert b"them" not in erased
    again = read_line(erased)
    assert (again.kind, again.position) == (Kind.ERASED, position)
    assert again.follows(BEGINNING)
    assert read_line(following).follows(again.position.chain)


@pytest.mark.parametrize("kind", ["decision", "from-a-later-version"])
def test_kinds_of_later_versions_are_read(kind: str) -> None:
    raw, _ = write_line(Kind.DECISION, as_json({}), Position())
    body = f'{{"schema":2,"seq":1,"kind":"{kind}"'

    line = read_line(closed(body, raw))

    assert line.kind == kind


@pytest.mark.parametrize("body", ['{"seq":1', '{"kind":"decision"', '{"seq":"x","kind":"y"', "[1"])
def test_what_is_no_line_of_a_log_is_refused(body: str) -> None:
    raw, _ = write_line(Kind.DECISION, as_json({}), Position())

    with pytest.raises(LineUnsound, match="no JSON object with its number"):
        read_line(closed(body, raw))


def closed(body: str, like: bytes) -> bytes:
    """A line with another body, and the checksum that belongs to it."""
    chain = like[-67:-3].decode()
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{body},"digest":"{digest}","chain":"{chain}"}}\n'.encode()

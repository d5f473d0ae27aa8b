"""Decisions are found by what is known of them, also by later versions, and with keys."""

import hashlib
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.fernet import Fernet

from moderation.adapters.decision_log.erasing import erase_content
from moderation.adapters.decision_log.lines import Line, read_line
from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import RecordCodec, RecordUnreadable
from moderation.adapters.decision_log.sealing import FernetSeal
from moderation.adapters.decision_log.segments import segment_path
from moderation.adapters.decision_log.verifying import verify
from moderation.core.content import content_digest
from moderation.core.policy import Action, Mode
from moderation.core.record import embeddings_from_text
from tests.adapters.decision_log.logs import (
    a_log,
    contents_in,
    everything_in,
    files_of,
    read,
    record,
)
from tests.builders import NOON, a_judgement, a_policy, a_verdict
from tests.fakes import embedding_of

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()

SCHEMA_1 = (
    '{"schema":1,"seq":2,"kind":"decision","decision_id":"d-1","decided_at":'
    '"2026-03-01T12:00:00+00:00","content_id":"upload-1","content_digest":"sha256:00","profile":'
    '"default","policy_set_version":"00","encoder_id":"e","action":"REVIEW","deciding_policy_id":'
    '"weapons","verdicts":[{"policy_id":"weapons","action":"REVIEW","mode":"enforce","score":0.6,'
    '"raw_score":1.5,"review":0.5,"block":null,"margin":0.1,"calibrated":false,"frame":0,"phrases":'
    '[["a gun",0.3]],"contrast":[]}]'
)
"""As the first version wrote it, less what had a default; never to be changed."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    shadow = a_verdict(a_policy("knives"), mode=Mode.SHADOW)
    with a_log(tmp_path) as store:
        store.append(
            [
                a_judgement("a", decision_id="d-a", action=Action.BLOCK),
                a_judgement(
                    "b",
                    decision_id="d-b",
                    decided_at=NOON + timedelta(days=1),
                    request_id='asked"twice',
                ),
                a_judgement("a", decision_id="d-c", verdicts=(shadow,)),
            ]
        )
    return tmp_path


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), ["d-a", "d-b", "d-c"]),
        (Query(decision_id="d-b"), ["d-b"]),
        (Query(content_id="a"), ["d-a", "d-c"]),
        (Query(policy_id="knives"), ["d-c"]),
        (Query(action="BLOCK"), ["d-a"]),
        (Query(since=NOON + timedelta(hours=1)), ["d-b"]),
        (Query(until=NOON), ["d-a", "d-c"]),
        (Query(content_id="a", action="ALLOW"), ["d-c"]),
        (Query(request_id='asked"twice'), ["d-b"]),
        (Query(content_id="d-a"), []),
        (Query(decision_id="nobody"), []),
    ],
)
def test_decisions_are_found(log: Path, query: Query, found: list[str]) -> None:
    assert [one.decision_id for one in read(log, query)] == found


@pytest.mark.case(99)
def test_a_damaged_line_is_told_and_the_others_are_found(log: Path) -> None:
    (segment,) = files_of(log)
    segment.write_bytes(segment.read_bytes().replace(b'"d-b"', b'"d-x"'))
    warnings: list[str] = []

    found = list(find(log, Query(), RecordCodec(), warnings.append))

    assert [one.decision_id for one in found] == ["d-a", "d-c"]
    assert warnings == [f"{segment}:3: was changed: its checksum is another"]


@pytest.mark.case(100)
def test_a_record_of_the_first_schema_stays_readable(tmp_path: Path) -> None:
    record = RecordCodec().decode(line_of(SCHEMA_1))

    assert (record.decision_id, record.action) == ("d-1", "REVIEW")
    assert record.verdicts[0].phrases == (("a gun", 0.3),)
    assert (record.tenant, record.failure_code, record.embeddings) == ("", "", "")
    assert (record.request_id, record.trace_id) == ("", "")


def test_a_record_of_a_later_schema_is_read_for_what_is_known_of_it() -> None:
    later = SCHEMA_1.replace('"schema":1', '"schema":2,"appeals":["x"]')

    assert RecordCodec().decode(line_of(later)).decision_id == "d-1"


@pytest.mark.parametrize(("schema", "told"), [(1, "with all its fields"), (7, "has schema 7")])
def test_a_record_without_its_fields_is_told(schema: int, told: str) -> None:
    body = f'{{"schema":{schema},"seq":2,"kind":"decision","decision_id":"d"'

    with pytest.raises(RecordUnreadable, match=told):
        RecordCodec().decode(line_of(body))


def line_of(body: str) -> Line:
    """A sound line with this body."""
    digest = hashlib.sha256(body.encode()).hexdigest()
    return read_line(f'{body},"digest":"{digest}","chain":"{"0" * 64}"}}\n'.encode())


def test_the_digest_may_be_keyed(tmp_path: Path) -> None:
    digest = content_digest(b"a kitten")

    plain, keyed = RecordCodec().digest(digest), RecordCodec(digest_key=b"k" * 16).digest(digest)

    assert plain == f"sha256:{digest.hex()}"
    assert keyed.startswith("hmac-sha256:")
    assert keyed != RecordCodec(digest_key=b"l" * 16).digest(digest)
    assert digest.hex() not in keyed


def test_embeddings_come_back_from_the_disk_as_they_were(tmp_path: Path) -> None:
    embeddings = np.stack([embedding_of("a gun")])
    with a_log(tmp_path, codec=RecordCodec(keep_embeddings=True)) as store:
        store.append([a_judgement(embeddings=embeddings)])

    (found,) = read(tmp_path)

    kept = embeddings_from_text(found.embeddings, frames=found.frames_judged)
    assert np.array_equal(kept, embeddings)


def test_an_encrypted_log_tells_nothing_without_the_key(tmp_path: Path) -> None:
    with a_log(tmp_path, codec=RecordCodec(seal=FernetSeal([OLD]))) as store:
        record(store, "them", "others")

    assert b"them" not in everything_in(tmp_path)
    assert b"weapons" not in everything_in(tmp_path)
    assert verify(tmp_path).problems == []
    assert contents_in(tmp_path) == []
    found = find(tmp_path, Query(content_id="them"), RecordCodec(seal=FernetSeal([NEW, OLD])))
    assert [one.content_id for one in found] == ["them"]


def test_without_the_right_key_lines_are_told_and_passed_over(tmp_path: Path) -> None:
    with a_log(tmp_path, codec=RecordCodec(seal=FernetSeal([OLD]))) as store:
        record(store, "them")
    warnings: list[str] = []

    assert list(find(tmp_path, Query(), RecordCodec(), warnings.append)) == []
    other = RecordCodec(seal=FernetSeal([NEW]))
    assert list(find(tmp_path, Query(), other, warnings.append)) == []

    assert "set decision_log.encryption_key_file" in warnings[0]
    assert "encrypted with a key that is not in the file" in warnings[1]
    with pytest.raises(RecordUnreadable):
        erase_content(tmp_path, "them", RecordCodec(), NOON)


def test_an_encrypted_content_is_erased(tmp_path: Path) -> None:
    codec = RecordCodec(seal=FernetSeal([OLD]))
    with a_log(tmp_path, codec=codec) as store:
        record(store, "them", "others")

    assert erase_content(tmp_path, "them", codec, NOON).records == 1

    assert [one.content_id for one in find(tmp_path, Query(), codec)] == ["others"]
    assert verify(tmp_path).problems == []


def test_a_file_that_retention_removes_meanwhile_is_passed_over(log: Path) -> None:
    (segment,) = files_of(log)
    found = find(log, Query(), RecordCodec())
    later = segment_path(segment.parent, 5)
    later.write_bytes(b"")
    assert next(found).decision_id == "d-a"
    later.unlink()

    assert [one.decision_id for one in found] == ["d-b", "d-c"]

"""`moderation log`: what is told of a decision log, and what is removed from it."""

import csv
import io
import json
from pathlib import Path

import pytest

from moderation.adapters.decision_log.holds import HOLDS
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.embedding_store import EmbeddingStore
from moderation.adapters.encoder_pairs import PairStore, read_pairs
from moderation.adapters.recent_store import RecentStore
from moderation.core.comparison import Pair, Pairing
from moderation.core.content import content_digest
from moderation.core.policy import Action
from moderation.service.shadowing import short_digest
from tests.adapters.decision_log.logs import a_log, contents_in, everything_in, files_of, record
from tests.builders import a_judgement
from tests.cli.command import moderation
from tests.fakes import FAKE_DIM, embedding_of

KEY = "k" * 32


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with a_log(tmp_path / "log") as store:
        store.append(
            [
                a_judgement("them", decision_id="d-1", image=b"them"),
                a_judgement(
                    "=cmd()",
                    decision_id="d-2",
                    action=Action.BLOCK,
                    deciding_policy_id="weapons",
                ),
            ]
        )
    return tmp_path / "log"


async def test_a_whole_log_is_verified(log: Path) -> None:
    ended = await moderation("log", "verify", "--log", log)

    assert ended.exit_code == 0
    assert ended.out.startswith("3 lines: 2 decisions, 0 erased\nwriter-0 ends at number 3, chain ")
    assert ended.out.endswith("the log is whole\n")


async def test_what_is_wrong_is_named_by_file_and_line(log: Path) -> None:
    (segment,) = files_of(log)
    segment.write_bytes(segment.read_bytes().replace(b'"d-1"', b'"d-9"'))

    ended = await moderation("log", "verify", "--log", log)

    assert ended.exit_code == 70
    assert f"{segment}:2: was changed: its checksum is another\n" in ended.out
    assert ended.out.endswith("1 problems\n")


async def test_losses_and_expiry_are_told(log: Path) -> None:
    with a_log(log) as store:
        store.append([a_judgement()], lost=2)
        (store.writer / "expired.json").write_text(json.dumps([[1, 0, "0" * 64]]))
        (store.writer / "expired.json").write_text(json.dumps([[0, 0, "0" * 64]]))

    ended = await moderation("log", "verify", "--log", log)

    assert ended.exit_code == 0
    assert "2 answers were given without a record, says the log itself" in ended.out
    assert "1 lines were removed by retention" in ended.out


async def test_decisions_are_shown_as_a_table_and_as_json(log: Path) -> None:
    table = await moderation("log", "query", "--log", log, "--limit", "1")
    one = await moderation("log", "query", "--log", log, "--content-id", "them", "--json")
    none = await moderation("log", "query", "--log", log, "--policy", "nobody")

    assert "=cmd()" in table.out
    assert "them" not in table.out
    assert json.loads(one.out)["decision_id"] == "d-1"
    assert none.out == "no such decision\n"


async def test_an_export_can_be_opened_by_spreadsheets_and_does_nothing_there(log: Path) -> None:
    sheet = await moderation("log", "export", "--log", log)
    lines = await moderation(
        "log", "export", "--log", log, "--format", "jsonl", "--action", "block"
    )

    rows = list(csv.DictReader(io.StringIO(sheet.out)))
    assert [(row["content_id"], row["action"]) for row in rows] == [
        ("them", "ALLOW"),
        ("'=cmd()", "BLOCK"),
    ]
    assert (rows[0]["score"], rows[1]["score"], rows[1]["block"]) == ("", "0.9", "0.8")
    assert rows[1]["verdicts"] == "weapons BLOCK 0.9000 enforce"
    (line,) = lines.out.splitlines()
    assert json.loads(line)["content_id"] == "=cmd()"


async def test_lines_that_cannot_be_read_are_told_beside_the_export(log: Path) -> None:
    (segment,) = files_of(log)
    segment.write_bytes(segment.read_bytes().replace(b'"d-1"', b'"d-9"'))

    ended = await moderation("log", "export", "--log", log)

    assert len(ended.out.splitlines()) == 2
    assert f"{segment}:2: was changed" in ended.err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["verify"], 64, "no decision log is set"),
        (["verify", "--log", "nowhere"], 66, "there is no such directory"),
        (["verify", "--log", "."], 66, "holds no decision log"),
        (["query", "--log", "."], 66, "holds no decision log"),
        (["query", "--log", ".", "--action", "ban"], 64, "use allow, review or block"),
        (["query", "--log", ".", "--since", "soon"], 64, "write 2026-03-01 or"),
        (["erase", "--content-id", "x", "--log", "."], 70, "holds no decision log"),
    ],
)
async def test_what_cannot_be_done_is_told(
    tmp_path: Path, arguments: list[str], exit_code: int, told: str
) -> None:
    here = [str(tmp_path) if one == "." else one for one in arguments]

    ended = await moderation("log", *here)

    assert ended.exit_code == exit_code
    assert told in ended.err


async def test_a_time_range_may_have_days_or_moments(log: Path) -> None:
    day = await moderation("log", "export", "--log", log, "--since", "2026-03-01")
    moment = await moderation("log", "export", "--log", log, "--until", "2026-03-01T12:59:59+01:00")

    assert len(day.out.splitlines()) == 3
    assert len(moment.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "told"),
    [("short", "are the least"), (None, "the key cannot be read"), ("x" * 44, "no Fernet keys")],
)
async def test_a_key_that_cannot_be_used_is_told(
    log: Path, tmp_path: Path, key: str | None, told: str
) -> None:
    path = tmp_path / "key"
    if key is not None:
        path.write_text(key)
    env = {"MODERATION_DECISION_LOG__ENCRYPTION_KEY_FILE": str(path)}

    ended = await moderation("log", "query", "--log", log, env=env)

    assert ended.exit_code == 78
    assert told in ended.err


def cached(directory: Path) -> EmbeddingStore:
    return EmbeddingStore(
        directory, encoder_id="e", dim=FAKE_DIM, max_bytes=2**20, max_age_s=3600, warn=pytest.fail
    )


async def test_everything_that_was_kept_of_a_content_is_erased(log: Path, tmp_path: Path) -> None:
    digest = short_digest(content_digest(b"them"))
    pairing = Pairing("old", "new", "0" * 64)
    pairs = PairStore(tmp_path / "pairs", max_pairs=100)
    for content in (digest, "0" * 16):
        pairs.record(Pair(content, {"weapons": (0.1, 0.2)}, pairing))
    recent = RecentStore(
        tmp_path / "recent",
        encoder_id="e",
        dim=FAKE_DIM,
        max_frames=9,
        max_age_s=3600,
        clock=lambda: 1_000_000.0,
    )
    with recent as store:
        store.append([("them", embedding_of("a face")[None])])
    with cached(tmp_path / "cache") as embeddings:
        embeddings.keep([(content_digest(b"them"), embedding_of("a face")[None])])
    env = {
        "MODERATION_CACHE__DIRECTORY": str(tmp_path / "cache"),
        "MODERATION_RECENT__DIRECTORY": str(tmp_path / "recent"),
        "MODERATION_SHADOW_ENCODER__DIRECTORY": str(tmp_path / "pairs"),
        "MODERATION_DECISION_LOG__DIRECTORY": str(log),
    }

    ended = await moderation("log", "erase", "--content-id", "them", env=env)

    assert ended.exit_code == 0, ended.err
    assert ended.out == (
        f"1 decisions erased in {log}\n"
        f"1 embeddings overwritten in {tmp_path / 'recent'}\n"
        f"1 pairs of scores overwritten in {tmp_path / 'pairs'}\n"
        f"1 embeddings overwritten in {tmp_path / 'cache'}\n"
    )
    left = everything_in(tmp_path)
    for trace in (b"them", digest.encode(), embedding_of("a face").tobytes()):
        assert trace not in left
    assert [one.content for one in read_pairs(tmp_path / "pairs")] == ["0" * 16]
    assert (await moderation("log", "verify", "--log", log)).exit_code == 0


async def test_with_keyed_digests_the_picture_is_needed_for_the_pairs(tmp_path: Path) -> None:
    digest = short_digest(content_digest(b"them"))
    pairs = PairStore(tmp_path / "pairs", max_pairs=100)
    pairs.record(Pair(digest, {"weapons": (0.1, 0.2)}, Pairing("old", "new", "0" * 64)))
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "them.jpg").write_bytes(b"them")
    with cached(tmp_path / "cache") as embeddings:
        embeddings.keep([(content_digest(b"them"), embedding_of("a face")[None])])
    env = {
        "MODERATION_SHADOW_ENCODER__DIRECTORY": str(tmp_path / "pairs"),
        "MODERATION_CACHE__DIRECTORY": str(tmp_path / "cache"),
        "MODERATION_RECENT__DIRECTORY": str(tmp_path / "nowhere"),
    }
    with a_log(tmp_path / "log", codec=RecordCodec(digest_key=KEY.encode())) as store:
        store.append([a_judgement("them", image=b"them")])
    command = ("log", "erase", "--content-id", "them", "--log", tmp_path / "log")

    without = await moderation(*command, env=env)
    with_it = await moderation(*command, "--image", tmp_path / "them.jpg", env=env)

    assert "0 pairs of scores overwritten" in without.out
    assert "0 embeddings overwritten" in without.out
    assert without.out.count("name the picture with --image") == 2
    assert "1 pairs of scores overwritten" in with_it.out
    assert "1 embeddings overwritten" in with_it.out


async def test_what_was_kept_of_a_person_is_erased_by_how_their_ids_begin(tmp_path: Path) -> None:
    recent = RecentStore(
        tmp_path / "recent",
        encoder_id="e",
        dim=FAKE_DIM,
        max_frames=9,
        max_age_s=3600,
        clock=lambda: 1_000_000.0,
    )
    names = ("user-17/a", "user-17/b", "user-170/a")
    with recent as store:
        store.append([(name, embedding_of(name)[None]) for name in names])
    with a_log(tmp_path / "log") as written:
        record(written, *names)
    env = {"MODERATION_RECENT__DIRECTORY": str(tmp_path / "recent")}
    command = ("log", "erase", "--log", tmp_path / "log")

    ended = await moderation(*command, "--content-id-prefix", "user-17/", env=env)

    assert ended.exit_code == 0, ended.err
    assert [line.split(" ")[0] for line in ended.out.splitlines()] == ["2", "2"]
    left = everything_in(tmp_path)
    assert b"user-17/" not in left
    assert b"user-170/" in left


@pytest.mark.parametrize("flags", [(), ("--content-id-prefix", "")])
async def test_what_would_erase_nothing_or_all_is_refused(log: Path, flags: tuple[str]) -> None:
    before = contents_in(log)

    ended = await moderation("log", "erase", "--log", log, *flags)

    assert ended.exit_code == 64
    assert "--content-id-prefix" in ended.err
    assert contents_in(log) == before


async def test_a_damaged_line_that_holds_the_id_is_told(log: Path) -> None:
    (segment,) = files_of(log)
    segment.write_bytes(segment.read_bytes().replace(b'"d-1"', b'"d-9"'))

    ended = await moderation("log", "erase", "--content-id", "them", "--log", log)

    assert ended.exit_code == 70
    assert ended.out == f"0 decisions erased in {log}\n"
    assert f"{segment}:2: holds such an id too, and is damaged" in ended.err


async def test_what_is_held_stays(log: Path) -> None:
    (log / HOLDS).write_text("holds: [{reason: case 12, content_id: them}]\n")

    ended = await moderation("log", "erase", "--content-id", "them", "--log", log)

    assert ended.exit_code == 70
    assert "is under a legal hold (case 12); nothing was erased" in ended.err
    assert "them" in contents_in(log)


async def test_a_name_from_a_stranger_steers_no_terminal(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "\x1b[31mred")

    ended = await moderation("log", "query", "--log", tmp_path)

    assert "\x1b" not in ended.out

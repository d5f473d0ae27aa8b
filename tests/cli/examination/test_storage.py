"""Directories, the decision log and files with keys: missing, closed, damaged or full."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from moderation.adapters.decision_log.holds import HOLDS
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.sealing import FernetSeal
from moderation.cli.examination import decisions, directories, secrets
from moderation.cli.examination.findings import Level
from moderation.settings import Settings
from tests.adapters.decision_log.logs import a_log, files_of, record
from tests.adapters.users import an_open_directory, an_ordinary_user
from tests.cli.examination.patients import levels, policies_in, settings_of, worst
from tests.disks import small_disk

FOREVER_BYTES = 2**60


def patient(directory: Path, **flags: object) -> Settings:
    return settings_of(
        policies__directory=policies_in(directory / "policies"),
        policies__state_directory=directory / "var" / "state",
        policies__cache_directory=directory / "var" / "cache",
        **flags,
    )


@contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """As on a disk that takes no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_directories_that_will_be_made_are_in_order_and_not_made(tmp_path: Path) -> None:
    settings = patient(
        tmp_path,
        recent__enabled=True,
        recent__directory=tmp_path / "recent",
        recent__max_frames=10,
        shadow_encoder__bundle="other",
        shadow_encoder__directory=tmp_path / "pairs",
        decision_log__directory=str(tmp_path / "log"),
        decision_log__max_bytes=4096,
    )

    found = list(directories.look(settings))

    assert set(levels(found)) == {Level.OK}
    assert [one.where.split()[0] for one in found] == [
        "policies.directory",
        "policies.state_directory",
        "policies.cache_directory",
        "recent.directory",
        "shadow_encoder.directory",
        "decision_log.directory",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["policies"]


def test_policies_that_are_not_there_are_told(tmp_path: Path) -> None:
    settings = settings_of(policies__directory=tmp_path / "gone", policies__cache_max_bytes=0)

    finding = worst(directories.look(settings))

    assert finding.level is Level.FAIL
    assert finding.where.startswith("policies.directory")


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no directory")

    finding = worst(directories.look(patient(tmp_path)))

    assert (finding.level, finding.what) == (Level.FAIL, f"{tmp_path}/var is no directory")


def test_a_directory_that_others_own_is_told() -> None:
    with an_open_directory() as directory:
        settings = patient(directory)
        (directory / "var").mkdir(mode=0o555)
        with an_ordinary_user():
            finding = worst(directories.look(settings))

    assert (finding.level, finding.what) == (Level.FAIL, "cannot be written: Permission denied")
    assert "user" in finding.cure


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    settings = patient(tmp_path)
    with files_of_at_most(0):
        finding = worst(directories.look(settings))

    assert (finding.level, finding.what) == (Level.FAIL, "cannot be written: File too large")
    assert "ulimit -f" in finding.cure


def test_a_full_disk_is_told_as_that_and_not_as_a_matter_of_rights(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4096) as disk:
        if disk is None:
            pytest.skip("mounting is not permitted")
        (disk / "other").write_bytes(b"x" * 4096)
        settings = patient(tmp_path, decision_log__directory=str(disk / "log"))
        finding = worst(directories.look(settings))

    assert (finding.level, finding.what) == (
        Level.FAIL,
        "cannot be written: No space left on device",
    )
    assert finding.cure.startswith("make room")


def test_a_disk_with_too_little_room_for_what_may_come_is_told(tmp_path: Path) -> None:
    (tmp_path / "var" / "cache").mkdir(parents=True)
    (tmp_path / "var" / "cache" / "texts").write_bytes(b"x" * 1000)

    finding = worst(directories.look(patient(tmp_path, policies__cache_max_bytes=FOREVER_BYTES)))

    assert finding.level is Level.WARN
    assert finding.where == f"policies.cache_directory {tmp_path}/var/cache"


def logged(directory: Path, **flags: object) -> Settings:
    return settings_of(decision_log__directory=str(directory), **flags)


def test_without_a_decision_log_nothing_is_read() -> None:
    assert levels(decisions.look(settings_of())) == [Level.OK]


def test_a_log_without_records_is_in_order(tmp_path: Path) -> None:
    assert levels(decisions.look(logged(tmp_path / "log"))) == [Level.OK]


def test_the_newest_records_are_read(tmp_path: Path) -> None:
    with a_log(tmp_path / "log") as store:
        record(store, "a", "b")
        finding = worst(decisions.look(logged(tmp_path / "log")))

    assert finding.level is Level.OK
    assert finding.where == str(files_of(tmp_path / "log")[0])


def test_a_damaged_record_is_told_with_its_line(tmp_path: Path) -> None:
    with a_log(tmp_path / "log") as store:
        record(store, "a", "b")
    (segment,) = files_of(tmp_path / "log")
    segment.write_bytes(segment.read_bytes().replace(b'"b"', b'"x"'))

    finding = worst(decisions.look(logged(tmp_path / "log")))

    assert (finding.level, finding.where) == (Level.FAIL, f"{segment}:3")
    assert "moderation log verify" in finding.cure


def test_records_of_another_key_are_told(tmp_path: Path) -> None:
    with a_log(
        tmp_path / "log", codec=RecordCodec(seal=FernetSeal([Fernet.generate_key().decode()]))
    ) as store:
        record(store, "a")
    (tmp_path / "key").write_bytes(Fernet.generate_key())

    without = worst(decisions.look(logged(tmp_path / "log")))
    other = worst(
        decisions.look(
            logged(tmp_path / "log", decision_log__encryption_key_file=str(tmp_path / "key"))
        )
    )

    assert without.level is other.level is Level.FAIL
    assert "is encrypted" in without.what


def test_a_key_that_is_missing_and_holds_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with a_log(tmp_path / "log") as store:
        record(store, "a")
    keyless = logged(tmp_path / "log", decision_log__digest_key_file=str(tmp_path / "gone"))
    missing = worst(decisions.look(keyless))
    (tmp_path / "log" / HOLDS).write_text("holds: nothing")
    unreadable = worst(decisions.look(logged(tmp_path / "log")))

    assert missing.level is unreadable.level is Level.FAIL
    assert "the key cannot be read" in missing.what
    assert HOLDS in unreadable.what


def test_files_that_no_setting_names_are_not_looked_for() -> None:
    assert levels(secrets.look(settings_of())) == [Level.OK]


@pytest.mark.parametrize(
    ("content", "mode", "level", "told"),
    [
        (b"k" * 32, 0o600, Level.OK, "can be read"),
        (b"k" * 32, 0o644, Level.WARN, "other users can get at the key (mode 644)"),
        (b" \n", 0o600, Level.FAIL, "is empty"),
        (None, 0, Level.FAIL, "cannot be read: No such file or directory"),
    ],
)
def test_a_key_has_to_be_there_and_for_nobody_else(
    tmp_path: Path, content: bytes | None, mode: int, level: Level, told: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)

    finding = worst(secrets.look(settings_of(decision_log__digest_key_file=str(path))))

    assert (finding.level, finding.what) == (level, told)
    assert finding.where == f"decision_log.digest_key_file {path}"


def test_keys_that_sign_packages_have_to_be_there_and_may_be_read_by_all(tmp_path: Path) -> None:
    there, gone = tmp_path / "new.pub", tmp_path / "old.pub"
    there.write_text("a public key")
    there.chmod(0o644)

    found = secrets.look(settings_of(package__public_keys=f"{there}, {gone}"))

    assert [(one.level, one.where) for one in found] == [
        (Level.OK, f"package.public_keys {there}"),
        (Level.FAIL, f"package.public_keys {gone}"),
    ]


def test_a_file_of_keys_that_a_start_would_refuse_is_told_with_its_places(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("tenants: {shop: {keys: {one: {hash: x}}}}")
    path.chmod(0o600)
    settings = settings_of(identity__keys_file=str(path))

    rejected = [one for one in secrets.look(settings) if one.level is Level.FAIL]
    path.write_text("tenants: {shop: {keys: {}}}")
    taken = list(secrets.look(settings))

    assert len(rejected) > 1
    assert all(one.what.startswith(f"{path}:1:") for one in rejected)
    assert levels(taken) == [Level.OK, Level.OK]
    assert taken[-1].what == "holds 0 keys"

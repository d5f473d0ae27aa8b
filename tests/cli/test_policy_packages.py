"""`moderation policy keygen`, `pack` and `verify`, and commands that take a package."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.encoders.registry import describe_encoder
from moderation.adapters.policy_state import PolicyState, state_of
from moderation.adapters.policy_yaml.binding import write_binding
from moderation.cli.examination.directories import look as look_at_directories
from moderation.cli.examination.findings import Level
from moderation.cli.examination.judging import look
from moderation.cli.exits import CommandError, Exit
from moderation.cli.policy_history import history
from moderation.cli.policy_keygen import keygen
from moderation.cli.policy_lint import lint
from moderation.cli.policy_pack import pack
from moderation.cli.policy_rollback import rollback
from moderation.cli.policy_verify import verify
from moderation.cli.serve import serve
from moderation.service.activation import Pin, SetOrigin, activation_of
from moderation.settings import Settings
from moderation.settings.package import PackageSettings
from tests.builders import NOON, a_calibration, a_policy_set
from tests.builders import a_policy as a_built_policy
from tests.cli.command import moderation
from tests.policy_packages import Mirror, Publisher, a_policy, running_mirror

Shown = pytest.CaptureFixture[str]

GUNS, KNIVES = (a_policy_set(a_built_policy(name)) for name in ("guns", "knives"))


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "published")
    made.write(no_cats=a_policy())
    return made


def packed(publisher: Publisher, *, serial: int | None = None) -> None:
    key = publisher.home / "ours.key"
    pack(publisher.policies, [key], publisher.archive, serial)


async def test_the_real_commands_make_a_package_that_holds(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "published", [])
    publisher.write(no_cats=a_policy())
    name = publisher.home / "ours"

    made = await moderation("policy", "keygen", name)
    arguments = (publisher.policies, "-o", publisher.archive, "--key", f"{name}.key")
    done = await moderation("policy", "pack", *arguments)
    verified = await moderation(
        "policy", "verify", publisher.archive, "--public-key", f"{name}.pub"
    )

    assert (made.exit_code, done.exit_code, verified.exit_code) == (0, 0, 0)
    key_id = made.out.split()[1].rstrip(":")
    assert verified.out.startswith(f"signed by key {key_id}, serial 1")
    assert verified.out.endswith("no-cats.yaml\n")
    assert sorted(path.name for path in publisher.home.iterdir()) == [
        "ours.key",
        "ours.pub",
        "policies",
        "policies.tar.gz",
        "policies.tar.gz.sig",
    ]


def test_the_same_files_give_the_same_archive_and_a_later_serial(publisher: Publisher) -> None:
    packed(publisher)
    first = publisher.archive.read_bytes(), publisher.signature.read_bytes()
    packed(publisher, serial=2**53)

    assert publisher.archive.read_bytes() == first[0]
    assert publisher.signature.read_bytes() != first[1]


def test_policies_that_would_be_refused_are_not_packed(publisher: Publisher) -> None:
    publisher.write(no_cats="id: [")

    with pytest.raises(CommandError, match=r"policies/no-cats\.yaml:1:") as caught:
        packed(publisher)

    assert caught.value.exit_code is Exit.CONFIG
    assert not publisher.archive.exists()


def test_policies_whose_calibration_is_stale_are_not_packed(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, _ = describe_encoder("starter")
    files = CalibrationFiles(publisher.policies, encoder.scale)
    files.save(a_calibration(policy_id="no-cats", encoder_id=encoder.encoder_id))

    with pytest.raises(CommandError, match=r"no-cats\.json: is stale: ") as caught:
        packed(publisher)

    assert caught.value.exit_code is Exit.CONFIG
    monkeypatch.setenv("MODERATION_POLICIES__STALE_CALIBRATION", "mark")
    packed(publisher)
    assert publisher.archive.exists()


def test_policies_that_are_bound_to_another_encoder_are_not_packed(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_binding(publisher.policies, encoder_id="a" * 64, name="vit-l14")

    with pytest.raises(CommandError, match="set for encoder vit-l14") as caught:
        packed(publisher)

    assert caught.value.exit_code is Exit.CONFIG
    monkeypatch.setenv("MODERATION_POLICIES__ENCODER_BINDING", "warn")
    packed(publisher)
    assert publisher.archive.exists()


def test_a_link_out_of_the_directory_is_not_packed(publisher: Publisher) -> None:
    (publisher.policies / "tests").mkdir()
    (publisher.policies / "tests" / "passwords").symlink_to("/etc/passwd")

    with pytest.raises(CommandError, match="tests/passwords: is a link that leads out"):
        packed(publisher)


def test_a_file_that_cannot_be_read_is_named(publisher: Publisher) -> None:
    (publisher.policies / "notes").symlink_to("nowhere")

    with pytest.raises(CommandError, match=r"cannot be read: No such file") as caught:
        packed(publisher)

    assert caught.value.exit_code is Exit.NO_INPUT


def test_a_place_that_cannot_be_written_is_told(publisher: Publisher) -> None:
    publisher.archive.mkdir()

    with pytest.raises(CommandError, match="cannot be written: Is a directory") as caught:
        packed(publisher)

    assert caught.value.exit_code is Exit.NO_PERMISSION


@pytest.mark.parametrize(
    ("name", "exit_code", "told"),
    [
        ("ours", Exit.USAGE, "is there already; choose another name"),
        ("nowhere/ours", Exit.NO_PERMISSION, "cannot be written: No such file"),
    ],
)
def test_keys_that_cannot_be_made_are_told(
    publisher: Publisher, name: str, exit_code: Exit, told: str
) -> None:
    with pytest.raises(CommandError, match=told) as caught:
        keygen(publisher.home / name)

    assert caught.value.exit_code is exit_code


def test_keys_to_verify_by_may_come_from_the_settings(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    packed(publisher)
    with pytest.raises(CommandError, match="name the keys"):
        verify(publisher.archive)

    monkeypatch.setenv("MODERATION_PACKAGE__PUBLIC_KEYS", str(publisher.public()))
    assert verify(publisher.archive) == Exit.ALLOW
    assert "signed by key" in capsys.readouterr().out


def test_what_does_not_hold_is_told(publisher: Publisher) -> None:
    packed(publisher)
    publisher.archive.write_bytes(b"x")

    with pytest.raises(CommandError, match="is not what was signed") as caught:
        verify(publisher.archive, [publisher.public()])

    assert caught.value.exit_code is Exit.CONFIG


async def test_a_diff_takes_packages(publisher: Publisher) -> None:
    packed(publisher)
    publisher.write(no_cats=a_policy(phrase="a tiger"))
    command = ("policy", "diff", publisher.archive, publisher.policies, "--json")

    ended = await moderation(*command)
    keys = {"MODERATION_PACKAGE__PUBLIC_KEYS": str(publisher.public())}
    publisher.archive.write_bytes(publisher.archive.read_bytes() + b"x")
    refused = await moderation(*command, env=keys)

    assert ended.exit_code == 0, ended.err
    assert "a tiger" in json.dumps(json.loads(ended.out))
    assert refused.exit_code == 78
    assert "is not what was signed" in refused.err


async def test_a_package_is_linted_and_tested(publisher: Publisher) -> None:
    (publisher.policies / "tests").mkdir()
    (publisher.policies / "tests" / "cats.yaml").write_text("texts: {a cat: {policy: no-cats}}\n")
    packed(publisher)

    linted = await moderation("policy", "lint", "--policies", publisher.archive)
    tested = await moderation("policy", "test", "--policies", publisher.archive)

    assert "0 errors" in linted.out, linted.err
    assert "1 passed" in tested.out, tested.err


def test_a_package_is_not_mended(publisher: Publisher) -> None:
    packed(publisher)

    with pytest.raises(CommandError, match="a package cannot be mended"):
        lint(publisher.archive, fix=True)


def test_no_server_starts_with_two_sources(publisher: Publisher) -> None:
    with pytest.raises(CommandError, match=r"--policies and package\.source name two sources"):
        serve(policies=publisher.policies, package="p.tar.gz", package_keys="p.pub")


@pytest.mark.parametrize(
    "flags", [{"package": "p.tar.gz"}, {"package_keys": "p.pub"}], ids=["package", "keys"]
)
def test_no_server_starts_with_half_of_it(flags: dict[str, str]) -> None:
    with pytest.raises(CommandError, match=r"package\.public_keys") as caught:
        serve(**flags)  # type: ignore[arg-type]  # flags of text alone

    assert caught.value.exit_code is Exit.CONFIG


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | str], PolicyState]:
    """What a server has left behind that went by these policies, and had two sets of them."""
    monkeypatch.setenv("MODERATION_POLICIES__STATE_DIRECTORY", str(tmp_path / "state"))

    def keep(policies: Path | str) -> PolicyState:
        state = PolicyState(state_of(tmp_path / "state", policies))
        state.keep(GUNS, activation_of(GUNS, None, origin=SetOrigin.SOURCE, now=NOON))
        state.keep(KNIVES, activation_of(KNIVES, GUNS, origin=SetOrigin.SOURCE, now=NOON))
        return state

    return keep


@pytest.mark.parametrize("named", [True, False])
def test_going_back_is_about_what_the_server_goes_by(
    publisher: Publisher,
    kept: Callable[[Path], PolicyState],
    monkeypatch: pytest.MonkeyPatch,
    named: bool,
) -> None:
    """Unless a directory is named."""
    monkeypatch.setenv("MODERATION_PACKAGE__SOURCE", str(publisher.archive))
    state = kept(publisher.policies if named else publisher.archive)

    rollback(policies=publisher.policies if named else None)

    assert state.pin() == Pin(GUNS.version, instead_of=KNIVES.version)


@pytest.mark.parametrize("is_remote", [True, False])
async def test_looking_and_going_back_take_a_package_as_serve_does(
    publisher: Publisher, kept: Callable[[Path | str], PolicyState], is_remote: bool
) -> None:
    source = "https://example.org/policies.tar.gz?key=x" if is_remote else publisher.archive
    state = kept(source)

    shown = await moderation("policy", "history", "--package", source)
    ended = await moderation("policy", "rollback", "--package", source)
    undone = await moderation("policy", "rollback", "--undo", "--package", source)

    assert KNIVES.version[:12] in shown.out
    assert ended.out.startswith(f"{GUNS.version[:12]} is put back in place of")
    assert ended.out.endswith("until a change of the package\n")
    assert undone.out == "the service goes by the package again, as soon as it can\n"
    assert state.pin() is None


async def test_what_a_server_had_of_a_package_can_be_compared(
    publisher: Publisher, kept: Callable[[Path | str], PolicyState]
) -> None:
    kept(publisher.archive)
    names = (f"version:{GUNS.version[:8]}", "active")

    ended = await moderation("policy", "diff", *names, "--package", publisher.archive)

    assert "policy guns (removed)" in ended.out, ended.err


@pytest.mark.parametrize("command", [history, rollback])
def test_two_sources_are_one_too_many(publisher: Publisher, command: Callable[..., int]) -> None:
    with pytest.raises(CommandError, match="--policies and --package name two sources") as caught:
        command(policies=publisher.policies, package=str(publisher.archive))

    assert caught.value.exit_code is Exit.USAGE


def test_a_package_without_a_history_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.setenv("MODERATION_POLICIES__STATE_DIRECTORY", str(tmp_path))

    history(package="https://example.org/policies.tar.gz?key=secret")

    source = "https://example.org/policies.tar.gz"
    assert capsys.readouterr().out == f"no policy set of {source} has been active yet\n"


@pytest.fixture
def mirror(publisher: Publisher, tmp_path: Path) -> Iterator[Mirror]:
    with running_mirror(Mirror(publisher.home), tmp_path / "certificates") as running:
        yield running


def test_the_doctor_looks_at_the_package(
    publisher: Publisher, mirror: Mirror, tmp_path: Path
) -> None:
    packed(publisher)
    package = PackageSettings(
        source=mirror.url, public_keys=str(publisher.public()), ca_file=str(mirror.authority)
    )
    settings = Settings(package=package)
    policies = {"cache_directory": tmp_path / "cache", "state_directory": tmp_path / "state"}
    settings = settings.model_copy(
        update={"policies": settings.policies.model_copy(update=policies)}
    )

    found = list(look(settings))
    publisher.signature.unlink()
    (missed,) = look(settings)

    active = next(one for one in found if "would be active" in one.what)
    assert (active.level, active.where) == (Level.OK, f"package.source {mirror.url}")
    assert missed.level is Level.FAIL
    assert "answers with status 404" in missed.what
    assert not any("policies.directory" in one.where for one in look_at_directories(settings))
    assert not (tmp_path / "state").exists()

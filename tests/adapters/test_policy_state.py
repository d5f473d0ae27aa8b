"""A directory that remembers policy sets: through restarts, crashes, and other people's hands."""

import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from moderation.adapters.policy_state import (
    MAX_ACTIVATIONS,
    MAX_SETS,
    FollowedState,
    PolicyState,
    state_of,
)
from moderation.core.calibration import (
    IsotonicCalibration,
    SolvedThreshold,
    TargetKind,
    ThresholdTarget,
)
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import (
    Action,
    Mode,
    Phrase,
    PolicySet,
    Profile,
    Severity,
    Thresholds,
    UnsolvedThresholds,
)
from moderation.core.taxonomy import Category
from moderation.service.activation import Activation, Pin, SetOrigin, activation_of
from moderation.service.keeping import NO_KEEPER
from tests.builders import NOON, a_calibration, a_policy, a_policy_set
from tests.contracts import PolicyKeeperContract
from tests.fakes import FakeKeeper

TARGET = ThresholdTarget(TargetKind.MAX_FPR, 0.005)
GUNS = a_policy(
    "guns",
    phrases=[Phrase("a gun", 0.5), "ein großes Gewehr"],
    contrast=["a toy"],
    thresholds=UnsolvedThresholds(0.3, TARGET),
    severity=Severity.CRITICAL,
    category="weapons",
    canary=0.1,
    effective=date(2026, 3, 1),
    expires=date(2026, 12, 31),
    owner="Trust and safety",
    legal_ground="Firearms act",
    clause_url="https://example.org/terms",
)
KIDS = Profile(
    "kids", frozenset({"guns"}), {"guns": Thresholds(0.1, None)}, Action.BLOCK, 0.02, 0.001
)
WHOLE = replace(
    a_policy_set(GUNS, a_policy("off", mode=Mode.OFF), profiles=[KIDS]),
    categories={"weapons": Category("weapons", "Weapons")},
    calibrations={
        "guns": a_calibration(
            GUNS,
            fit=IsotonicCalibration(((-10.0, 0.0), (2.0, 0.5), (11.0, 1.0))),
            solved=(SolvedThreshold(TARGET, 0.8, 0.004, 0, 900),),
        )
    },
)


class TestPolicyState(PolicyKeeperContract):
    @pytest.fixture
    def keeper(self, tmp_path: Path) -> PolicyState:
        (tmp_path / "state").mkdir()
        return PolicyState(tmp_path / "state")


class TestFakeKeeper(PolicyKeeperContract):
    @pytest.fixture
    def keeper(self) -> FakeKeeper:
        return FakeKeeper()


def activation(policy_set: PolicySet) -> Activation:
    return activation_of(policy_set, None, origin=SetOrigin.SOURCE, now=NOON)


def a_state(directory: Path, *policy_sets: PolicySet) -> PolicyState:
    state = PolicyState(directory)
    for policy_set in policy_sets:
        state.keep(policy_set, activation(policy_set))
    return state


def refusal(state: PolicyState, version: str) -> str:
    with pytest.raises(PolicySetRejected) as caught:
        state.kept(version)
    return str(caught.value)


def test_everything_that_a_set_can_hold_comes_back(tmp_path: Path) -> None:
    kept = a_state(tmp_path / "state", WHOLE).kept(WHOLE.version)

    assert kept == WHOLE
    assert kept.version == WHOLE.version


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    a_state(tmp_path, WHOLE)

    again = PolicyState(tmp_path)

    assert again.history() == (activation(WHOLE),)
    assert again.kept(WHOLE.version).version == WHOLE.version


def test_a_set_that_was_altered_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    state = a_state(tmp_path, WHOLE)
    (path,) = (tmp_path / "sets").iterdir()

    path.write_text(path.read_text().replace("a toy", "a tie"))

    assert refusal(state, WHOLE.version).endswith("was altered since it was kept")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"policies": []}', b"\xff"])
def test_a_spoiled_set_is_refused(tmp_path: Path, content: bytes) -> None:
    state = a_state(tmp_path, WHOLE)
    (path,) = (tmp_path / "sets").iterdir()

    path.write_bytes(content)

    assert "cannot be read" in refusal(state, WHOLE.version)


@pytest.mark.parametrize("version", ["../../etc/passwd", "", "x" * 64, "A" * 64])
def test_what_is_no_version_is_never_a_path(tmp_path: Path, version: str) -> None:
    assert "is no version" in refusal(PolicyState(tmp_path), version)


def test_spoiled_lines_of_the_history_cost_only_themselves(tmp_path: Path) -> None:
    state = a_state(tmp_path, WHOLE)
    history = tmp_path / "history.jsonl"

    history.write_bytes(b"half a li\n" + history.read_bytes() + b'{"version": 1}\n')

    assert state.history() == (activation(WHOLE),)


def test_a_spoiled_pin_is_none(tmp_path: Path) -> None:
    (tmp_path / "pin.json").write_text("{")

    assert PolicyState(tmp_path).pin() is None


def test_the_history_and_the_sets_are_bounded(tmp_path: Path) -> None:
    state = PolicyState(tmp_path)
    sets = [a_policy_set(a_policy(f"p{number}")) for number in range(MAX_SETS + 3)]
    for number, policy_set in enumerate(sets):
        state.keep(policy_set, activation(policy_set))
        moment = NOON + timedelta(seconds=number)
        path = tmp_path / "sets" / f"{policy_set.version}.json"
        os.utime(path, (moment.timestamp(), moment.timestamp()))
    lines = (tmp_path / "history.jsonl").read_bytes()
    (tmp_path / "history.jsonl").write_bytes(lines * 20)

    state.keep(sets[-1], activation(sets[-1]))

    assert len(list((tmp_path / "sets").iterdir())) == MAX_SETS
    assert len(state.history()) == MAX_ACTIVATIONS
    assert "was not kept, or is too long ago" in refusal(state, sets[0].version)


def test_nothing_half_written_is_left_behind_when_the_disk_refuses(tmp_path: Path) -> None:
    state = a_state(tmp_path, WHOLE)
    history = tmp_path / "history.jsonl"
    kept = history.read_bytes()
    history.unlink()
    history.mkdir()

    with pytest.raises(OSError, match="directory"):
        state.keep(WHOLE, activation(WHOLE))

    assert not list(tmp_path.glob(".*"))
    assert kept


def test_each_directory_of_policies_has_a_state_of_its_own(tmp_path: Path) -> None:
    one, other = (state_of(tmp_path, tmp_path / name / "policies") for name in ("a", "b"))

    assert one != other
    assert one == state_of(tmp_path, tmp_path / "a" / "policies")
    assert one.parent == other.parent == tmp_path


@pytest.mark.parametrize("spelt", ["../{here}/policies", "policies/../policies", "./policies/"])
def test_a_directory_has_one_state_however_its_path_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelt: str
) -> None:
    monkeypatch.chdir(tmp_path)

    found = state_of(tmp_path, Path(spelt.format(here=tmp_path.name)))

    assert found == state_of(tmp_path, tmp_path / "policies")


def test_a_link_to_a_directory_has_a_state_of_its_own(tmp_path: Path) -> None:
    """Where it leads may change, as with the mounts of Kubernetes."""
    (tmp_path / "today").mkdir()
    (tmp_path / "policies").symlink_to("today")

    assert state_of(tmp_path, tmp_path / "policies") != state_of(tmp_path, tmp_path / "today")


def test_who_needs_no_memory_has_none() -> None:
    NO_KEEPER.keep(WHOLE, activation(WHOLE))
    NO_KEEPER.unpin()

    assert (NO_KEEPER.history(), NO_KEEPER.pin()) == ((), None)
    with pytest.raises(PolicySetRejected, match="was not kept"):
        NO_KEEPER.kept(WHOLE.version)


def test_who_follows_reads_what_the_other_process_writes_and_writes_nothing(
    tmp_path: Path,
) -> None:
    written = PolicyState(tmp_path / "state")
    followed = FollowedState(written)
    policy_set = a_policy_set(GUNS)
    one = activation_of(policy_set, None, origin=SetOrigin.SOURCE, now=NOON)

    followed.keep(policy_set, one)
    assert followed.history() == ()
    written.keep(policy_set, one)
    written.put_pin(Pin(policy_set.version, "other"))
    followed.unpin()

    assert followed.history() == (one,)
    assert followed.kept(policy_set.version) == policy_set
    assert followed.pin() == Pin(policy_set.version, "other")

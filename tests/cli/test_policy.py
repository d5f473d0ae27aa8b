"""`moderation policy`: the schema, the history, and going back."""

import json
from pathlib import Path

import pytest

from moderation.adapters.policy_state import PolicyState, state_of
from moderation.adapters.policy_yaml.json_schema import MODELS, json_schema
from moderation.service.activation import Pin, SetOrigin, activation_of
from tests.builders import NOON, a_policy, a_policy_set
from tests.cli.command import Ended, moderation
from tests.policy_packages import a_policy as a_policy_file

GUNS = a_policy_set(a_policy("guns", owner="Trust and safety"))
KNIVES = a_policy_set(a_policy("knives", phrases=["a knife"]))


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "no-cats.yaml").write_text(a_policy_file())
    return directory


@pytest.fixture
def state(tmp_path: Path, policies: Path) -> PolicyState:
    """What a service with two activations has left behind."""
    kept = PolicyState(state_of(tmp_path / "state", policies))
    kept.keep(GUNS, activation_of(GUNS, None, origin=SetOrigin.SOURCE, now=NOON))
    kept.keep(KNIVES, activation_of(KNIVES, GUNS, origin=SetOrigin.SOURCE, now=NOON))
    return kept


async def policy(*arguments: str, policies: Path) -> Ended:
    env = {"MODERATION_POLICIES__STATE_DIRECTORY": str(policies.parent / "state")}
    return await moderation("policy", *arguments, "--policies", policies, env=env)


@pytest.mark.parametrize("kind", MODELS)
async def test_the_schema_is_printed(kind: str) -> None:
    ended = await moderation("policy", "schema", "--kind", kind)

    assert json.loads(ended.out) == json_schema(kind)
    assert ended.exit_code == 0


async def test_an_unknown_kind_is_a_wrong_command_line() -> None:
    ended = await moderation("policy", "schema", "--kind", "policies")

    assert ended.exit_code == 64
    assert "profiles" in ended.err


async def test_the_history_shows_the_newest_first(policies: Path, state: PolicyState) -> None:
    ended = await policy("history", policies=policies)

    header, newest, oldest = ended.out.splitlines()
    assert "what changed" in header
    assert newest.split()[0] == KNIVES.version[:12]
    assert "added knives; removed guns" in newest
    assert "2026-03-01 12:00:00Z" in newest
    assert "Trust and safety" in newest
    assert "first activation" in oldest


async def test_the_history_says_what_was_put_back(policies: Path, state: PolicyState) -> None:
    state.put_pin(Pin(GUNS.version, KNIVES.version))

    ended = await policy("history", "--limit", "1", policies=policies)

    assert len(ended.out.splitlines()) == 3
    assert ended.out.splitlines()[-1].startswith(f"{GUNS.version[:12]} was put back")


async def test_without_a_history_that_is_said(policies: Path) -> None:
    ended = await policy("history", policies=policies)

    assert (ended.exit_code, ended.out) == (0, f"no policy set of {policies} has been active yet\n")


@pytest.mark.parametrize("digits", [[], [GUNS.version[:6]], [GUNS.version]])
async def test_a_rollback_pins_the_set_that_was_meant(
    policies: Path, state: PolicyState, digits: list[str]
) -> None:
    ended = await policy("rollback", *digits, policies=policies)

    assert ended.exit_code == 0, ended.err
    assert GUNS.version[:12] in ended.out
    assert state.pin() == Pin(GUNS.version, instead_of=KNIVES.version)


async def test_a_rollback_says_since_when_the_set_was_active_that_it_takes_back(
    policies: Path, state: PolicyState
) -> None:
    ended = await policy("rollback", policies=policies)

    assert ended.out == (
        f"{GUNS.version[:12]} is put back in place of {KNIVES.version[:12]}, "
        "active since 2026-03-01 12:00:00Z, until a change of the policy files\n"
    )


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "not taken yet"])
async def test_a_second_rollback_puts_nothing_back_that_somebody_went_back_from(
    policies: Path, state: PolicyState, is_taken: bool
) -> None:
    pin = Pin(GUNS.version, instead_of=KNIVES.version)
    state.put_pin(pin)
    if is_taken:
        state.keep(GUNS, activation_of(GUNS, KNIVES, origin=SetOrigin.ROLLBACK, now=NOON))

    ended = await policy("rollback", policies=policies)

    assert ended.exit_code == 64
    assert f"{GUNS.version[:12]} is put back already, in place of" in ended.err
    assert "--undo" in ended.err
    assert state.pin() == pin


async def test_a_rollback_is_not_needed_for_files_that_cannot_be_used(
    policies: Path, state: PolicyState
) -> None:
    (policies / "no-cats.yaml").write_text("id: [")

    refused = await policy("rollback", policies=policies)
    assert state.pin() is None
    named = await policy("rollback", GUNS.version[:12], policies=policies)

    assert refused.exit_code == 78
    assert "policies/no-cats.yaml:1:" in refused.err
    assert f"still {KNIVES.version[:12]}, active since 2026-03-01 12:00:00Z." in refused.err
    assert f"`moderation policy rollback {GUNS.version[:12]}`" in refused.err
    assert named.exit_code == 0, named.err
    assert state.pin() == Pin(GUNS.version, instead_of=KNIVES.version)


async def test_a_rollback_is_in_place_of_what_the_files_came_to_mean(
    policies: Path, state: PolicyState
) -> None:
    """As after a rollback, and an edit by which the files mean the set that was put back."""
    spoons = a_policy_set(a_policy("spoons"))
    state.keep(spoons, activation_of(spoons, KNIVES, origin=SetOrigin.SOURCE, now=NOON))
    for origin in (SetOrigin.ROLLBACK, SetOrigin.SOURCE):
        state.keep(KNIVES, activation_of(KNIVES, spoons, origin=origin, now=NOON))

    ended = await policy("rollback", GUNS.version, policies=policies)

    assert ended.exit_code == 0, ended.err
    assert state.pin() == Pin(GUNS.version, instead_of=KNIVES.version)


async def test_without_a_word_on_what_the_files_mean_nothing_is_put_back(policies: Path) -> None:
    kept = PolicyState(state_of(policies.parent / "state", policies))
    kept.keep(GUNS, activation_of(GUNS, None, origin=SetOrigin.ROLLBACK, now=NOON))

    ended = await policy("rollback", GUNS.version, policies=policies)

    assert ended.exit_code == 66
    assert "does not say what the policy files meant last" in ended.err
    assert kept.pin() is None


async def test_a_rollback_can_be_taken_back(policies: Path, state: PolicyState) -> None:
    state.put_pin(Pin(GUNS.version, KNIVES.version))

    ended = await policy("rollback", "--undo", policies=policies)

    assert ended.exit_code == 0
    assert state.pin() is None


@pytest.mark.parametrize(
    ("digits", "exit_code", "told"),
    [("xyz", 64, "no version starts with 'xyz'"), ("", 66, "was not kept, or is too long ago")],
)
async def test_a_rollback_to_what_cannot_be_had_is_refused(
    policies: Path, state: PolicyState, digits: str, exit_code: int, told: str
) -> None:
    for path in (policies.parent / "state").rglob(f"{GUNS.version}.json"):
        path.unlink()

    ended = await policy("rollback", *filter(None, [digits]), policies=policies)

    assert ended.exit_code == exit_code
    assert told in ended.err
    assert state.pin() is None


async def test_the_first_set_has_none_before_it(policies: Path) -> None:
    ended = await policy("rollback", policies=policies)

    assert ended.exit_code == 66
    assert "no earlier policy set" in ended.err


async def test_a_state_that_cannot_be_written_is_told(policies: Path, state: PolicyState) -> None:
    root = state_of(policies.parent / "state", policies)
    (root / "pin.json").mkdir()

    ended = await policy("rollback", policies=policies)

    assert ended.exit_code == 77
    assert "cannot be written" in ended.err

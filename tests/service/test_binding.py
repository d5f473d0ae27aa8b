from dataclasses import replace

import pytest

from moderation.core.errors import PolicySetRejected
from moderation.core.policy import BindingRule, BoundEncoder, PolicySet
from moderation.service.activation import Activation, Pin, SetOrigin
from moderation.service.binding import BindingGuard, BoundPolicyKeeper, BoundPolicySource
from tests.builders import NOON, a_policy_set, an_encoder_info
from tests.fakes import FakePolicySource, RecordingTelemetry

HERE = BoundEncoder("a" * 64, "vit-b32", "policies/encoder.lock")
ELSEWHERE = BoundEncoder("b" * 64, "vit-l14", "policies/encoder.lock")
AN_ACTIVATION = Activation("1", NOON, SetOrigin.SOURCE, 1, (), "first activation")
RUNNING = an_encoder_info(encoder_id="a" * 64, name="vit-b32")


def bound_to(encoder: BoundEncoder | None) -> PolicySet:
    return replace(a_policy_set(), encoder=encoder)


def a_source(
    encoder: BoundEncoder | None, rule: BindingRule, telemetry: RecordingTelemetry
) -> BoundPolicySource:
    guard = BindingGuard(RUNNING, rule, telemetry)
    return BoundPolicySource(FakePolicySource(bound_to(encoder)), guard)


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    return RecordingTelemetry()


def test_thresholds_of_another_encoder_are_refused_with_the_way_out(
    telemetry: RecordingTelemetry,
) -> None:
    source = a_source(ELSEWHERE, BindingRule.REFUSE, telemetry)

    with pytest.raises(PolicySetRejected) as caught:
        source.load()

    (problem,) = caught.value.problems
    assert problem.file == "policies/encoder.lock"
    assert "set for encoder vit-l14 (bbbbbbbbbbbb), and vit-b32" in problem.message
    assert "`moderation encoder bind`" in problem.message


@pytest.mark.parametrize("rule", BindingRule)
@pytest.mark.parametrize("encoder", [None, HERE])
def test_thresholds_of_this_encoder_or_of_none_are_taken(
    encoder: BoundEncoder | None, rule: BindingRule, telemetry: RecordingTelemetry
) -> None:
    assert a_source(encoder, rule, telemetry).load() == bound_to(encoder)


def test_a_warning_is_given_once_and_taken_back(telemetry: RecordingTelemetry) -> None:
    files = FakePolicySource(bound_to(ELSEWHERE))
    source = BoundPolicySource(files, BindingGuard(RUNNING, BindingRule.WARN, telemetry))

    source.load()
    source.load()
    files.holds = bound_to(HERE)
    source.load()

    assert telemetry.bindings == [(ELSEWHERE, False), (HERE, True)]


def test_what_is_to_be_ignored_is_not_told(telemetry: RecordingTelemetry) -> None:
    a_source(ELSEWHERE, BindingRule.IGNORE, telemetry).load()

    assert telemetry.bindings == []


class HoldsOne:
    """A keeper of one set, in which nobody can keep another."""

    def __init__(self, policy_set: PolicySet) -> None:
        self.policy_set = policy_set
        self.kept_sets: list[PolicySet] = []
        self.is_pinned = True

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        self.kept_sets.append(policy_set)

    def kept(self, version: str) -> PolicySet:
        return self.policy_set

    def history(self) -> tuple[Activation, ...]:
        return (AN_ACTIVATION,)

    def pin(self) -> Pin | None:
        return Pin("1", "2") if self.is_pinned else None

    def unpin(self) -> None:
        self.is_pinned = False


def test_a_set_that_was_kept_under_another_encoder_does_not_come_back(
    telemetry: RecordingTelemetry,
) -> None:
    guard = BindingGuard(RUNNING, BindingRule.REFUSE, telemetry)

    with pytest.raises(PolicySetRejected, match="set for encoder vit-l14"):
        BoundPolicyKeeper(HoldsOne(bound_to(ELSEWHERE)), guard).kept("1")


def test_everything_else_about_what_was_kept_stays_as_it_is(telemetry: RecordingTelemetry) -> None:
    kept = HoldsOne(bound_to(HERE))
    keeper = BoundPolicyKeeper(kept, BindingGuard(RUNNING, BindingRule.REFUSE, telemetry))

    keeper.keep(bound_to(HERE), AN_ACTIVATION)

    assert keeper.kept("1") == bound_to(HERE)
    assert kept.kept_sets == [bound_to(HERE)]
    assert keeper.history() == (AN_ACTIVATION,)
    assert keeper.pin() == Pin("1", "2")
    keeper.unpin()
    assert keeper.pin() is None


def test_a_bound_set_differs_from_the_same_set_unbound() -> None:
    versions = {bound_to(encoder).version for encoder in (None, HERE, ELSEWHERE)}

    assert len(versions) == 3

"""Every value of the core has its word on the wire."""

import pytest

from moderation.adapters.grpc.convert import (
    ACTION,
    MODE,
    PRIORITY,
    SEVERITY,
    decision_to_proto,
    priority_from_proto,
)
from moderation.core.decision import Failure, Timings
from moderation.core.errors import FailureCode
from moderation.core.policy import Action, Mode, Severity
from moderation.service.lanes import Priority
from moderation.v1 import moderation_pb2 as pb
from tests.builders import a_decision, a_policy, a_verdict

MADE_BY_CLIENTS = {"FAILURE_CODE_UNSPECIFIED", "FAILURE_CODE_SERVICE_UNAVAILABLE"}


def test_every_enumeration_is_mapped_whole() -> None:
    assert ACTION.keys() == set(Action)
    assert MODE.keys() == set(Mode)
    assert SEVERITY.keys() == set(Severity)
    assert set(PRIORITY.values()) == set(Priority)
    assert PRIORITY.keys() == set(pb.Priority.values()) - {pb.PRIORITY_UNSPECIFIED}


@pytest.mark.parametrize("usual", Priority)
@pytest.mark.parametrize("stated", [pb.PRIORITY_UNSPECIFIED, 99])
def test_a_priority_that_is_not_stated_or_not_known_is_the_rpc_s_own(
    stated: pb.Priority, usual: Priority
) -> None:
    assert priority_from_proto(pb.ModerateOptions(priority=stated), usual) is usual


def test_a_stated_priority_counts() -> None:
    options = pb.ModerateOptions(priority=pb.PRIORITY_BULK)

    assert priority_from_proto(options, Priority.INTERACTIVE) is Priority.BULK


def test_actions_keep_their_order_on_the_wire() -> None:
    on_the_wire = [int(ACTION[action]) for action in sorted(Action)]

    assert on_the_wire == sorted(on_the_wire)


def test_failure_codes_are_the_same_on_both_sides() -> None:
    here = {f"FAILURE_CODE_{code.name}" for code in FailureCode}

    assert here == set(pb.FailureCode.keys()) - MADE_BY_CLIENTS


@pytest.mark.parametrize("code", FailureCode)
def test_a_failure_keeps_its_code_and_message(code: FailureCode) -> None:
    decision = a_decision(action=Action.REVIEW, failure=Failure(code, "what was found"))

    message = decision_to_proto(decision)

    assert pb.FailureCode.Name(message.failure.code) == f"FAILURE_CODE_{code.name}"
    assert message.failure.message == "what was found"


def test_a_decision_keeps_every_number() -> None:
    policy = a_policy(severity=Severity.CRITICAL, category="weapons", mode=Mode.SHADOW)
    verdict = a_verdict(policy, frame=3, calibrated=True)
    timings = Timings(
        decode_s=0.001, queue_s=0.002, encode_s=0.003, score_s=0.004, total_s=0.01, cached=True
    )

    message = decision_to_proto(a_decision(verdicts=(verdict,), timings=timings, frames_judged=5))

    (on_the_wire,) = message.verdicts
    assert (on_the_wire.score, on_the_wire.raw_score) == (verdict.score, verdict.raw_score)
    assert (on_the_wire.frame, message.frames_judged) == (3, 5)
    assert on_the_wire.calibrated
    assert on_the_wire.severity == pb.SEVERITY_CRITICAL
    assert on_the_wire.mode == pb.MODE_SHADOW
    assert message.timings.decode.ToNanoseconds() == 1_000_000
    assert message.timings.total.ToNanoseconds() == 10_000_000
    assert message.timings.cached

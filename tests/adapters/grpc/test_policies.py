"""What the service says of its policies: terms, targets, taxonomy, history, staleness."""

from dataclasses import replace
from datetime import date

import grpc
import pytest

from moderation.adapters.grpc.convert_policies import ORIGIN
from moderation.core.calibration import SolvedThreshold, TargetKind, ThresholdTarget
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import Mode, Profile, UnsolvedThresholds
from moderation.core.taxonomy import Category
from moderation.service.activation import Pin, SetOrigin
from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import refused, served
from tests.builders import a_calibration, a_policy, a_policy_set

TARGET = ThresholdTarget(TargetKind.MAX_FPR, 0.005)
CUTS = UnsolvedThresholds(0.3, TARGET)
GUNS = a_policy(
    "guns",
    thresholds=CUTS,
    category="weapons",
    canary=0.1,
    effective=date(2026, 1, 1),
    expires=date(2026, 12, 31),
    owner="Trust and safety",
    legal_ground="Firearms act",
    clause_url="https://example.org/terms",
)
SOLVED = (SolvedThreshold(TARGET, 0.8, 0.004, 0, 900),)
WHOLE = replace(
    a_policy_set(
        GUNS,
        a_policy("off", mode=Mode.OFF, thresholds=CUTS),
        a_policy("over", expires=date(2026, 1, 1)),
        a_policy("reworded"),
        profiles=[Profile("kids", review_budget=0.02, audit_share=0.001)],
    ),
    categories={
        "goods": Category("goods", "Goods"),
        "weapons": Category("weapons", "Weapons", "goods"),
    },
    calibrations={
        "guns": a_calibration(GUNS, solved=SOLVED),
        "reworded": a_calibration(a_policy("reworded", phrases=["a rifle"])),
    },
)


async def test_policies_tell_their_terms_and_what_their_targets_were_solved_to() -> None:
    async with served(WHOLE) as running:
        answer = await running.stub.ListPolicies(pb.ListPoliciesRequest())

    by_id = {policy.policy_id: policy for policy in answer.policies}
    guns, off, over, reworded = (by_id[name] for name in ("guns", "off", "over", "reworded"))
    assert (guns.owner, guns.legal_ground) == ("Trust and safety", "Firearms act")
    assert guns.clause_url == "https://example.org/terms"
    assert (guns.effective, guns.expires, guns.on) == ("2026-01-01", "2026-12-31", True)
    assert guns.canary_share == 0.1
    assert (guns.review_threshold, guns.block_threshold) == (0.3, 0.8)
    assert (guns.review_target, guns.block_target) == ("", "max_fpr: 0.005")
    assert guns.calibration == pb.CALIBRATION_STATE_FITTED
    assert (off.on, off.HasField("review_threshold")) == (False, False)
    assert (over.on, over.review_threshold) == (False, 0.5)
    assert over.calibration == pb.CALIBRATION_STATE_NONE
    assert reworded.calibration == pb.CALIBRATION_STATE_STALE


async def test_profiles_and_categories_are_told_whole() -> None:
    async with served(WHOLE) as running:
        answer = await running.stub.ListPolicies(pb.ListPoliciesRequest())

    kids = next(profile for profile in answer.profiles if profile.profile == "kids")
    default = next(profile for profile in answer.profiles if profile.profile == "default")
    assert (kids.review_budget, kids.audit_share) == (0.02, 0.001)
    assert not default.HasField("review_budget")
    assert [(one.category, one.parent) for one in answer.categories] == [
        ("goods", ""),
        ("weapons", "goods"),
    ]


async def test_a_verdict_carries_what_a_statement_of_reasons_needs() -> None:
    judged = replace(a_policy_set(replace(GUNS, thresholds=a_policy().thresholds, canary=1.0)))
    audited = a_policy_set(*judged.policies, profiles=[Profile(audit_share=1.0)])
    content = pb.Content(image=b"a gun", content_id="upload-1")

    async with served(replace(audited, categories=WHOLE.categories)) as running:
        answer = await running.stub.Moderate(pb.ModerateRequest(content=content))

    (verdict,) = answer.decision.verdicts
    assert list(verdict.category_path) == ["goods", "weapons"]
    assert (verdict.legal_ground, verdict.clause_url) == ("Firearms act", GUNS.clause_url)
    assert verdict.mode == pb.MODE_ENFORCE
    assert answer.decision.audited


async def test_the_history_is_listed_the_newest_first_and_as_long_as_is_asked_for() -> None:
    guns, knives = a_policy_set(a_policy("guns", owner="T&S")), a_policy_set(a_policy("knives"))
    async with served(guns) as running:
        running.engine.source.holds = knives
        await running.engine.policies.reload()

        every = await running.stub.ListPolicySets(pb.ListPolicySetsRequest())
        newest = await running.stub.ListPolicySets(pb.ListPolicySetsRequest(max_results=1))

    assert [one.version for one in every.activations] == [knives.version, guns.version]
    (only,) = newest.activations
    assert (only.origin, only.policies) == (pb.POLICY_SET_ORIGIN_SOURCE, 1)
    assert list(only.owners) == ["T&S"]
    assert only.summary == "added knives; removed guns"
    assert only.HasField("activated_at")


async def test_a_negative_number_of_results_is_refused() -> None:
    async with served() as running:
        error = await refused(running.stub.ListPolicySets(pb.ListPolicySetsRequest(max_results=-1)))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "max_results" in (error.details() or "")


async def test_the_status_tells_of_a_rollback_of_stale_policies_and_of_stale_calibrations() -> None:
    older = a_policy_set(a_policy("older"))
    async with served(older) as running:
        engine = running.engine
        engine.source.holds = WHOLE
        await engine.policies.reload()
        first = (await running.stub.GetStatus(pb.GetStatusRequest())).policy_set
        engine.keeper.put_pin(Pin(older.version, instead_of=WHOLE.version))
        await engine.policies.reload()
        second = (await running.stub.GetStatus(pb.GetStatusRequest())).policy_set
        engine.source.holds = PolicySetRejected((Problem("x.yaml", 1, 1, "typo"),))
        await engine.policies.reload()
        third = (await running.stub.GetStatus(pb.GetStatusRequest())).policy_set

    assert (first.origin, first.stale) == (pb.POLICY_SET_ORIGIN_SOURCE, False)
    assert list(first.stale_calibrations) == ["reworded"]
    assert first.HasField("confirmed_at")
    assert (second.origin, second.instead_of) == (pb.POLICY_SET_ORIGIN_ROLLBACK, WHOLE.version)
    assert not second.stale
    assert third.stale


def test_every_origin_has_its_word_on_the_wire() -> None:
    assert ORIGIN.keys() == set(SetOrigin)


@pytest.mark.parametrize("origin", SetOrigin)
def test_words_on_the_wire_are_those_of_the_service(origin: SetOrigin) -> None:
    assert pb.PolicySetOrigin.Name(ORIGIN[origin]) == f"POLICY_SET_ORIGIN_{origin.name}"

"""The same question again, and what differs in the answers."""

from dataclasses import replace

import numpy as np
import pytest

from moderation.core.content import Embeddings
from moderation.core.decision import Options, decide
from moderation.core.errors import UnknownName
from moderation.core.policy import Action, Mode, Profile
from moderation.core.record import DecisionRecord, record_of
from moderation.core.replaying import causes, differences, judge_again, unjudgeable_again
from moderation.core.scoring import CompiledPolicies, score
from tests.builders import a_judgement, a_policy, a_policy_set, compiled
from tests.fakes import embedding_of

GUN = np.stack([embedding_of("a gun")])
WEAPONS = compiled(a_policy_set(a_policy(), a_policy("knives", phrases=["a knife"])))
STRICTER = compiled(
    a_policy_set(
        a_policy(review=0.4),
        a_policy("knives", phrases=["a knife", "a gun"], mode=Mode.SHADOW, block=None),
    )
)


def recorded(embeddings: Embeddings, policies: CompiledPolicies) -> DecisionRecord:
    """As the moderator records it."""
    outcome = decide(
        score(embeddings, policies),
        policies,
        policies.cuts["default"],
        Options(),
        content_id="upload-1",
    )
    judgement = a_judgement(
        action=outcome.action,
        verdicts=outcome.verdicts,
        deciding_policy_id=outcome.deciding.policy.id if outcome.deciding else "",
        policy_set_version=policies.policy_set.version,
        audited=outcome.audited,
    )
    return record_of(judgement, bytes.hex, keep_embeddings=False)


@pytest.mark.parametrize("shown", ["a gun", "a kitten"])
def test_the_same_policies_give_the_same_answer(shown: str) -> None:
    embeddings = np.stack([embedding_of(shown)])
    record = recorded(embeddings, WEAPONS)

    again = judge_again(record, embeddings, WEAPONS)

    assert differences(record, again) == ()
    assert causes(record, again) == ()


def test_an_edit_is_told_with_what_it_changes() -> None:
    record = recorded(GUN, WEAPONS)

    again = judge_again(record, GUN, STRICTER)

    assert [one.split(":")[0] for one in causes(record, again)] == ["policy set"]
    told = differences(record, again)
    assert [one.split(":")[0] for one in told] == ["knives", "weapons"]
    assert "not among the verdicts that matter, now REVIEW (shadow) at 0.99" in told[0]
    assert "review 0.5, block 0.8), now BLOCK at 0.99" in told[1]
    assert told[0].endswith("(review 0.5, block never)")


def test_another_encoder_is_a_cause() -> None:
    record = replace(recorded(GUN, WEAPONS), encoder_id="another-encoder-1")

    again = judge_again(record, GUN, WEAPONS)

    assert causes(record, again) == ("encoder: another-enco, now fake-encoder",)


def test_content_that_cannot_be_judged_is_compared_too() -> None:
    record = recorded(GUN, WEAPONS)

    failed = unjudgeable_again(record, "corrupt", "bad checksum", WEAPONS)

    assert failed.action == Action.REVIEW.name
    assert differences(record, failed)[:3] == (
        "action: BLOCK, now REVIEW",
        "deciding policy: weapons, now none",
        "failure: none, now corrupt",
    )
    assert differences(failed, unjudgeable_again(failed, "corrupt", "", WEAPONS)) == ()


def test_verdicts_that_were_left_out_are_no_difference() -> None:
    record = replace(recorded(GUN, WEAPONS), verdicts=(), verdicts_left_out=1)

    assert differences(record, judge_again(record, GUN, WEAPONS)) == ()


def test_a_profile_that_is_gone_is_refused() -> None:
    policies = compiled(a_policy_set(profiles=[Profile("kids")]))
    record = replace(recorded(GUN, policies), profile="kids")

    assert differences(record, judge_again(record, GUN, policies)) == ()
    with pytest.raises(UnknownName):
        judge_again(record, GUN, WEAPONS)

"""What is kept of a decision."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from moderation.core.content import content_digest
from moderation.core.decision import Failure, Options
from moderation.core.errors import FailureCode
from moderation.core.policy import Action, Mode
from moderation.core.record import (
    MAX_MESSAGE_LENGTH,
    MAX_VERDICTS,
    DecisionRecord,
    Judgement,
    embeddings_from_text,
    embeddings_to_text,
    record_of,
)
from tests.builders import a_judgement, a_policy, a_verdict
from tests.fakes import embedding_of

EMBEDDINGS = np.stack([embedding_of("a gun"), embedding_of("a cup")])


def recorded(judgement: Judgement, *, keep_embeddings: bool = False) -> DecisionRecord:
    return record_of(judgement, bytes.hex, keep_embeddings=keep_embeddings)


def test_a_verdict_is_kept_with_its_score_its_thresholds_and_its_phrases() -> None:
    judgement = a_judgement(
        "them/1.jpg",
        action=Action.BLOCK,
        deciding_policy_id="weapons",
        tenant="shop",
        request_id="request-7",
        options=Options(policy_ids=frozenset({"weapons", "knives"})),
    )

    record = recorded(judgement)

    assert record.action == "BLOCK"
    assert (record.deciding_policy_id, record.tenant) == ("weapons", "shop")
    assert record.request_id == "request-7"
    assert (record.content_id, record.content_digest) == (
        "them/1.jpg",
        content_digest(b"a kitten").hex(),
    )
    assert record.policy_ids == ("knives", "weapons")
    (verdict,) = record.verdicts
    assert (verdict.score, verdict.raw_score, verdict.review, verdict.block) == (0.9, 7.2, 0.5, 0.8)
    assert verdict.margin == pytest.approx(0.1)
    assert verdict.phrases == (("a gun", 0.72),)
    json.dumps(asdict(record), allow_nan=False)


def test_shadows_above_allow_are_kept_and_marked() -> None:
    shadow = a_verdict(a_policy("knives"), mode=Mode.SHADOW)
    allowed = a_verdict(a_policy("wine"), action=Action.ALLOW, score=0.1)

    record = recorded(a_judgement(verdicts=(shadow, allowed)))

    assert [(one.policy_id, one.mode) for one in record.verdicts] == [("knives", "shadow")]


def test_of_verdicts_that_allow_the_nearest_that_acts_is_kept_whatever_was_asked_for() -> None:
    shadow = a_verdict(a_policy("knives"), mode=Mode.SHADOW, action=Action.ALLOW, score=0.4)
    nearest = a_verdict(a_policy("wine"), action=Action.ALLOW, score=0.3)
    farther = a_verdict(a_policy("beer"), action=Action.ALLOW, score=0.2)

    whole = recorded(a_judgement(verdicts=(shadow, nearest, farther)))
    shadows_alone = recorded(a_judgement(verdicts=(shadow,)))

    assert [one.policy_id for one in whole.verdicts] == ["wine"]
    assert [one.policy_id for one in shadows_alone.verdicts] == ["knives"]


def test_a_record_is_bounded() -> None:
    verdicts = tuple(a_verdict(a_policy(f"p{number}")) for number in range(MAX_VERDICTS + 7))
    failure = Failure(FailureCode.CORRUPT, "x" * 10_000)

    record = recorded(a_judgement(verdicts=verdicts, failure=failure))

    assert (len(record.verdicts), record.verdicts_left_out) == (MAX_VERDICTS, 7)
    assert (record.failure_code, len(record.failure_message)) == ("corrupt", MAX_MESSAGE_LENGTH)


def test_embeddings_are_kept_only_if_that_is_wanted() -> None:
    judgement = a_judgement(embeddings=EMBEDDINGS)

    without, with_them = recorded(judgement), recorded(judgement, keep_embeddings=True)

    assert without.embeddings == ""
    assert without == replace(with_them, embeddings="")
    read = embeddings_from_text(with_them.embeddings, frames=2)
    assert np.array_equal(read, EMBEDDINGS)
    assert recorded(a_judgement(), keep_embeddings=True).embeddings == ""


@pytest.mark.parametrize("text", ["?", embeddings_to_text(EMBEDDINGS)[:-5]])
def test_what_holds_no_embeddings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        embeddings_from_text(text, frames=2)

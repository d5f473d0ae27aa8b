"""Values with good defaults, so that a test names only what it is about.

Policies have one template, so that a phrase is also the text that is embedded,
and `compiled` embeds with the fake encoder, to which a picture of "a gun" is
as similar as can be to the phrase "a gun" and hardly to anything else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

from moderation.core.calibration import Calibration, Fit, PolicyCalibration
from moderation.core.content import Content, Embedding, Embeddings, PixelSpec, content_digest
from moderation.core.decision import Decision, Options, PhraseMatch, Verdict
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import (
    DEFAULT_PROFILE,
    Action,
    Phrase,
    Policy,
    PolicySet,
    Profile,
    Thresholds,
    policy_hash,
)
from moderation.core.record import Judgement
from moderation.core.scoring import (
    CompiledPolicies,
    ScoreScale,
    compile_policies,
    texts_to_embed,
)
from tests.fakes import FAKE_DIM, FAKE_SIZE_PX, embedding_of

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

SCALE = ScoreScale(scale=10.0, default=Calibration(bias=5.0, temperature=1.0))
"""Similarity 1 scores 0.99, similarity 0.5 scores 0.5, similarity 0 scores 0.01."""


def an_encoder_info(**changes: Any) -> EncoderInfo:  # noqa: ANN401 - its fields
    info = EncoderInfo(
        encoder_id="fake-encoder",
        name="fake",
        family="fake",
        dim=FAKE_DIM,
        pixels=PixelSpec(FAKE_SIZE_PX),
        scale=SCALE,
        device="CPUExecutionProvider",
    )
    return replace(info, **changes)


def a_policy(
    policy_id: str = "weapons",
    *,
    phrases: Iterable[str | Phrase] = ("a gun",),
    contrast: Iterable[str | Phrase] = (),
    review: float = 0.5,
    block: float | None = 0.8,
    **rest: Any,  # noqa: ANN401 - further fields
) -> Policy:
    return Policy(
        id=policy_id,
        title=rest.pop("title", policy_id.capitalize()),
        phrases=_phrases(phrases),
        contrast=_phrases(contrast),
        thresholds=rest.pop("thresholds", Thresholds(review, block)),
        templates=rest.pop("templates", ("{}",)),
        **rest,
    )


def _phrases(texts: Iterable[str | Phrase]) -> tuple[Phrase, ...]:
    return tuple(text if isinstance(text, Phrase) else Phrase(text) for text in texts)


def a_policy_set(*policies: Policy, profiles: Iterable[Profile] = ()) -> PolicySet:
    named = {DEFAULT_PROFILE: Profile(), **{profile.id: profile for profile in profiles}}
    return PolicySet(policies or (a_policy(),), MappingProxyType(named))


def a_calibration(policy: Policy | None = None, **changes: Any) -> PolicyCalibration:  # noqa: ANN401 - its fields
    calibrated = policy or a_policy()
    calibration = PolicyCalibration(
        policy_id=calibrated.id,
        encoder_id="fake-encoder",
        policy_hash=policy_hash(calibrated),
        fit=Calibration(0.0, 1.0),
        positives=300,
        negatives=1200,
    )
    return replace(calibration, **changes)


def compiled(
    policy_set: PolicySet | None = None,
    *,
    embedding_by_text: Mapping[str, Embedding] | None = None,
    scale: ScoreScale = SCALE,
    fits: Mapping[str, Fit] = MappingProxyType({}),
    day: date | None = None,
    is_starter: bool = False,
    former: CompiledPolicies | None = None,
) -> CompiledPolicies:
    policies = policy_set or a_policy_set()
    fitted = {
        policy.id: a_calibration(policy, fit=fits[policy.id])
        for policy in policies.policies
        if policy.id in fits
    }
    policies = replace(policies, calibrations={**policies.calibrations, **fitted})
    embeddings = embedding_by_text or {
        text: embedding_of(text) for text in texts_to_embed(policies)
    }
    return compile_policies(
        policies,
        encoder_id="fake-encoder",
        scale=scale,
        embedding_by_text=embeddings,
        day=day,
        is_starter=is_starter,
        former=former,
    )


def a_content(image: bytes = b"a kitten", content_id: str = "upload-1") -> Content:
    return Content(image, content_id)


def a_verdict(policy: Policy | None = None, **changes: Any) -> Verdict:  # noqa: ANN401 - fields
    judged = policy or a_policy()
    assert isinstance(judged.thresholds, Thresholds)
    verdict = Verdict(
        policy=judged,
        action=Action.BLOCK,
        score=0.9,
        raw_score=7.2,
        thresholds=judged.thresholds,
        calibrated=False,
        frame=0,
        phrases=(PhraseMatch("a gun", 0.72),),
        contrast=(),
        mode=judged.mode,
    )
    return replace(verdict, **changes)


def a_judgement(
    content_id: str = "upload-1",
    *,
    image: bytes = b"a kitten",
    embeddings: Embeddings | None = None,
    tenant: str = "",
    options: Options | None = None,
    request_id: str = "",
    **changes: Any,  # noqa: ANN401 - fields of its decision
) -> Judgement:
    decision = a_decision(**{"content_id": content_id, "verdicts": (a_verdict(),), **changes})
    digest = content_digest(image)
    options = options or Options()
    return Judgement(decision, options, digest, embeddings, tenant, request_id)


def a_decision(**changes: Any) -> Decision:  # noqa: ANN401 - its fields
    decision = Decision(
        decision_id="d-1",
        content_id="upload-1",
        action=Action.ALLOW,
        profile=DEFAULT_PROFILE,
        policy_set_version="0" * 64,
        encoder_id="fake-encoder",
        decided_at=NOON,
        frames_judged=1,
    )
    return replace(decision, **changes)

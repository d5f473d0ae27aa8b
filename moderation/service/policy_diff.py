"""Compares two policy sets: in meaning, and by what they decide on contents seen before."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from moderation.core.content import Embedding
from moderation.core.corpus import Corpus
from moderation.core.encoder import EncoderInfo, require_unit_rows
from moderation.core.policy import DEFAULT_PROFILE, Mode, Policy, PolicySet, Profile
from moderation.core.policy_diff import PolicySetDiff, diff_policy_sets
from moderation.core.policy_effect import Effect, Tally, effects, merged, tally
from moderation.core.policy_plan import Plan, Side, to_rescore
from moderation.core.scoring import (
    NO_CALIBRATIONS,
    Calibration,
    CompiledPolicies,
    compile_policies,
    texts_to_embed,
)
from moderation.service.ports import TextEncoder

TEXTS_PER_BATCH = 64
CHUNK_ROWS = 1024
"""Frames that a worker scores at once."""


@dataclass(frozen=True, slots=True)
class PolicyEffects:
    """What the change does to a corpus: counted as a whole, and policy by policy."""

    corpus: Corpus
    plan: Plan
    tally: Tally
    contents: Effect
    by_policy: Mapping[str, Effect]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs in meaning, and in effect if there was anything to try it on."""

    old: PolicySet
    new: PolicySet
    profile: str
    diff: PolicySetDiff
    effects: PolicyEffects | None


class PolicyComparer:
    """Compares for one encoder; phrases that both sets share are embedded once."""

    def __init__(
        self,
        *,
        encoder: EncoderInfo,
        texts: TextEncoder,
        executor: Executor,
        calibrations: Mapping[str, Calibration] = NO_CALIBRATIONS,
    ) -> None:
        self._encoder = encoder
        self._texts = texts
        self._executor = executor
        self._calibrations = calibrations

    def compare(
        self, old: PolicySet, new: PolicySet, corpus: Corpus | None, *, profile: str = ""
    ) -> Comparison:
        """Compare by one profile; raises UnknownName if either set lacks it."""
        name = new.profile(profile).id
        old.profile(name)
        found = None if corpus is None or not len(corpus) else self._effects(old, new, corpus, name)
        return Comparison(old, new, name, diff_policy_sets(old, new), found)

    def _effects(
        self, old: PolicySet, new: PolicySet, corpus: Corpus, profile: str
    ) -> PolicyEffects:
        embedding_by_text = embed_texts(self._texts, texts_to_embed(old) | texts_to_embed(new))
        before = Side.of(self._compile(old, embedding_by_text), profile)
        after = Side.of(self._compile(new, embedding_by_text), profile)
        changed = _alone(to_rescore(before, after))
        rescored = self._compile(changed, embedding_by_text) if changed else None
        plan = Plan.of(before, after, rescored)
        total = self._tally(plan, corpus)
        contents, by_policy = effects(plan, total)
        return PolicyEffects(corpus, plan, total, contents, MappingProxyType(by_policy))

    def _tally(self, plan: Plan, corpus: Corpus) -> Tally:
        chunks = corpus.chunks(CHUNK_ROWS)
        return merged(self._executor.map(partial(_tally_chunk, plan, corpus), chunks))

    def _compile(
        self, policy_set: PolicySet, embedding_by_text: Mapping[str, Embedding]
    ) -> CompiledPolicies:
        return compile_policies(
            policy_set,
            encoder_id=self._encoder.encoder_id,
            scale=self._encoder.scale,
            embedding_by_text=embedding_by_text,
            calibrations=self._calibrations,
        )


def embed_texts(encoder: TextEncoder, texts: frozenset[str]) -> dict[str, Embedding]:
    """Each text's embedding; raises EncodingFailed, and whatever the encoder raises."""
    # Texts of like length together: a batch is padded to its longest.
    ordered = sorted(texts, key=lambda text: (len(text), text))
    found: dict[str, Embedding] = {}
    for start in range(0, len(ordered), TEXTS_PER_BATCH):
        batch = ordered[start : start + TEXTS_PER_BATCH]
        rows = require_unit_rows(encoder.encode_texts(batch), rows=len(batch))
        found.update(zip(batch, rows, strict=True))
    return found


def _alone(policies: tuple[Policy, ...]) -> PolicySet | None:
    """A set of these only; a shadow counts like any, for here only scores are wanted."""
    scored = tuple(policy for policy in policies if policy.mode is not Mode.OFF)
    profiles = MappingProxyType({DEFAULT_PROFILE: Profile()})
    return PolicySet(scored, profiles) if scored else None


def _tally_chunk(plan: Plan, corpus: Corpus, bounds: tuple[int, int]) -> Tally:
    first, stop = bounds
    return tally(plan, corpus.part(first, stop), offset=first)

"""Compares two policy sets: in meaning, and by what they decide on contents seen before."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from types import MappingProxyType

from moderation.core.corpus import Corpus
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import DEFAULT_PROFILE, Policy, PolicySet, Profile
from moderation.core.policy_diff import PolicySetDiff, diff_policy_sets
from moderation.core.policy_effect import Effect, Tally, effects, merged
from moderation.core.policy_plan import Plan, Side, to_rescore
from moderation.core.policy_tally import tally
from moderation.core.scoring import CompiledPolicies, compile_policies, texts_to_embed
from moderation.service.phrases import PhraseEmbeddings
from moderation.service.ports import TextEncoder

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
    """Compares for one encoder, on one day; phrases that both sets share are embedded once."""

    def __init__(
        self,
        *,
        encoder: EncoderInfo,
        texts: TextEncoder,
        executor: Executor,
        day: date | None = None,
    ) -> None:
        self._encoder = encoder
        self._phrases = PhraseEmbeddings(texts)
        self._executor = executor
        self._day = day

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
        self._phrases.embed(texts_to_embed(old) | texts_to_embed(new), active=frozenset())
        before = Side.of(self._compile(old), profile)
        after = Side.of(self._compile(new), profile)
        changed = _alone(to_rescore(before, after), new)
        rescored = self._compile(changed) if changed else None
        plan = Plan.of(before, after, rescored)
        total = self._tally(plan, corpus)
        contents, by_policy = effects(plan, total)
        return PolicyEffects(corpus, plan, total, contents, MappingProxyType(by_policy))

    def _tally(self, plan: Plan, corpus: Corpus) -> Tally:
        chunks = corpus.chunks(CHUNK_ROWS)
        return merged(self._executor.map(partial(_tally_chunk, plan, corpus), chunks))

    def _compile(self, policy_set: PolicySet) -> CompiledPolicies:
        return compile_policies(
            policy_set,
            encoder_id=self._encoder.encoder_id,
            scale=self._encoder.scale,
            embedding_by_text=self._phrases.by_text,
            day=self._day,
            is_starter=self._encoder.is_starter,
        )


def _alone(policies: tuple[Policy, ...], whole: PolicySet) -> PolicySet | None:
    """A set of these only, with what the whole set knows of them."""
    profiles = MappingProxyType({DEFAULT_PROFILE: Profile()})
    return replace(whole, policies=policies, profiles=profiles) if policies else None


def _tally_chunk(plan: Plan, corpus: Corpus, bounds: tuple[int, int]) -> Tally:
    first, stop = bounds
    return tally(plan, corpus.part(first, stop), offset=first)

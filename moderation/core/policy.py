"""What is not allowed: policies, the profiles that select them, and the set of both."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum
from functools import cached_property
from types import MappingProxyType

from moderation.core.aggregation import AGGREGATIONS
from moderation.core.errors import UnknownName

DEFAULT_PROFILE = "default"
DEFAULT_TEMPLATES = ("a photo of {}.", "a picture of {}.", "{}")
SHOWN_NAMES = 20


class Action(IntEnum):
    """What may happen to content, from lenient to strict: the overall action is the max."""

    ALLOW = 1
    REVIEW = 2
    BLOCK = 3


class Mode(StrEnum):
    """Whether a policy acts: `shadow` is recorded and never acts, `off` is not even scored."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class Severity(StrEnum):
    """How bad a violation is, for people and queues; it does not change the score."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text that describes a violation or a benign look-alike; weight in (0, 1]."""

    text: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a phrase that says nothing or counts for nothing."""
        if not self.text.strip():
            raise ValueError("a phrase must not be empty")
        if not 0.0 < self.weight <= 1.0:
            raise ValueError(f"weight {self.weight} must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The cuts on a score, both in 0..1: from `review` a person looks, from `block` none needs to.

    A `block` of None never blocks.
    """

    review: float
    block: float | None

    def __post_init__(self) -> None:
        """Refuse cuts out of range or out of order."""
        for name, value in (("review", self.review), ("block", self.block)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} ({value}) must be between 0 and 1")
        if self.block is not None and self.review > self.block:
            raise ValueError(f"review ({self.review}) must not exceed block ({self.block})")

    def action_for(self, score: float) -> Action:
        """The action for a score; a score equal to a threshold has reached it."""
        if self.block is not None and score >= self.block:
            return Action.BLOCK
        return Action.REVIEW if score >= self.review else Action.ALLOW

    def margin_of(self, score: float) -> float:
        """Score less the highest threshold reached, or, if none is, less `review` (negative)."""
        if self.block is not None and score >= self.block:
            return score - self.block
        return score - self.review


@dataclass(frozen=True, slots=True)
class Policy:
    """One kind of thing that is not allowed."""

    id: str
    title: str
    phrases: tuple[Phrase, ...]
    thresholds: Thresholds
    description: str = ""
    category: str = "other"
    severity: Severity = Severity.MEDIUM
    contrast: tuple[Phrase, ...] = ()
    templates: tuple[str, ...] = DEFAULT_TEMPLATES
    aggregation: str = "max"
    mode: Mode = Mode.ENFORCE
    needs_clip: bool = False
    """Marks a policy that the bundled starter encoder cannot judge."""

    def __post_init__(self) -> None:
        """Refuse a policy that could not be scored."""
        if not self.phrases:
            raise ValueError(f"policy {self.id!r} has no phrases")
        if not self.templates or any("{}" not in template for template in self.templates):
            raise ValueError(f"policy {self.id!r}: every template needs {{}} for the phrase")
        if self.aggregation not in AGGREGATIONS:
            known = ", ".join(AGGREGATIONS)
            raise ValueError(f"unknown aggregation {self.aggregation!r}; use one of {known}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A named selection of policies with overrides, for one surface such as a marketplace."""

    id: str = DEFAULT_PROFILE
    policy_ids: frozenset[str] | None = None
    """The policies that apply; None means all of them."""
    thresholds: Mapping[str, Thresholds] = field(default_factory=lambda: MappingProxyType({}))
    """By policy id, instead of the policy's own."""
    on_unjudgeable: Action = Action.REVIEW

    @property
    def named_policies(self) -> frozenset[str]:
        """Every policy that the profile mentions."""
        return (self.policy_ids or frozenset()) | self.thresholds.keys()

    def selects(self, policy_id: str) -> bool:
        """Whether the policy applies under this profile."""
        return self.policy_ids is None or policy_id in self.policy_ids


class BindingRule(StrEnum):
    """What to do with policies whose thresholds were set for another encoder."""

    REFUSE = "refuse"
    WARN = "warn"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class BoundEncoder:
    """The encoder that a set's thresholds were set for."""

    encoder_id: str
    name: str
    file: str
    """Where it is written."""


@dataclass(frozen=True)
class PolicySet:
    """All policies that are loaded together, and the profiles by their ids."""

    policies: tuple[Policy, ...]
    profiles: Mapping[str, Profile] = field(
        default_factory=lambda: MappingProxyType({DEFAULT_PROFILE: Profile()})
    )
    encoder: BoundEncoder | None = None
    """None where the thresholds are bound to no encoder."""

    def __post_init__(self) -> None:
        """Refuse a set that judges nothing, has one id twice, or a profile that dangles."""
        ids = [policy.id for policy in self.policies]
        if all(policy.mode is Mode.OFF for policy in self.policies):
            raise ValueError("a policy set needs at least one policy that is not off")
        if len(set(ids)) != len(ids):
            raise ValueError(f"policy ids must be unique: {sorted(ids)}")
        if DEFAULT_PROFILE not in self.profiles:
            raise ValueError(f"a policy set needs a profile called {DEFAULT_PROFILE!r}")
        for name, profile in self.profiles.items():
            if profile.id != name:
                raise ValueError(f"profile {profile.id!r} is filed under {name!r}")
            for policy_id in sorted(profile.named_policies.difference(ids)):
                raise ValueError(f"profile {name!r} names policy {policy_id!r}; there is none")

    @cached_property
    def version(self) -> str:
        """sha256 of the canonical form, in hex: equal meaning, equal version.

        What a reader of a decision sees counts, such as a title; the order of
        policies, phrases and templates does not, and neither does 1 instead of 1.0.
        """
        canonical: dict[str, object] = {
            "policies": sorted(map(_canonical_policy, self.policies), key=lambda p: str(p["id"])),
            "profiles": {name: _canonical_profile(one) for name, one in self.profiles.items()},
        }
        if self.encoder is not None:
            canonical["encoder"] = self.encoder.encoder_id
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()

    def profile(self, name: str) -> Profile:
        """The profile of that name; an empty name means the default one.

        Raises UnknownName.
        """
        found = self.profiles.get(name or DEFAULT_PROFILE)
        if found is None:
            raise UnknownName("options.profile", _unknown(name, self.profiles))
        return found

    def require_policies(self, policy_ids: frozenset[str]) -> None:
        """Raise UnknownName if the set lacks one of these policies."""
        known = {policy.id: policy for policy in self.policies}
        for policy_id in sorted(policy_ids - known.keys()):
            raise UnknownName("options.policy_ids", _unknown(policy_id, known))


def _unknown(name: str, known: Mapping[str, object]) -> str:
    names = sorted(known)
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"unknown name {name[:64]!r}; known: {', '.join(names[:SHOWN_NAMES])}{more}"


def _canonical_policy(policy: Policy) -> dict[str, object]:
    return {
        # By name, so that a field added later counts without a line here.
        **{one.name: getattr(policy, one.name) for one in fields(policy)},
        "phrases": sorted((phrase.text, float(phrase.weight)) for phrase in policy.phrases),
        "contrast": sorted((phrase.text, float(phrase.weight)) for phrase in policy.contrast),
        "templates": sorted(policy.templates),
        "thresholds": _canonical_thresholds(policy.thresholds),
    }


def _canonical_profile(profile: Profile) -> dict[str, object]:
    return {
        **{one.name: getattr(profile, one.name) for one in fields(profile)},
        "policy_ids": None if profile.policy_ids is None else sorted(profile.policy_ids),
        "thresholds": {
            policy_id: _canonical_thresholds(cuts) for policy_id, cuts in profile.thresholds.items()
        },
    }


def _canonical_thresholds(cuts: Thresholds) -> tuple[float, float | None]:
    return float(cuts.review), None if cuts.block is None else float(cuts.block)

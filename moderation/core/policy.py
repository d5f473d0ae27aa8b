"""What is not allowed: policies, the profiles that select them, and the set of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

from moderation.core.aggregation import AGGREGATIONS
from moderation.core.calibration import PolicyCalibration, ThresholdTarget
from moderation.core.canonical import canonical, digest
from moderation.core.errors import UnknownName
from moderation.core.taxonomy import OTHER, Category, require_tree
from moderation.core.templates import DEFAULT_TEMPLATES

DEFAULT_PROFILE = "default"
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
class UnsolvedThresholds:
    """Cuts of which at least one is stated as a target; a calibration makes Thresholds of them."""

    review: float | ThresholdTarget
    block: float | ThresholdTarget | None

    @property
    def targets(self) -> tuple[ThresholdTarget, ...]:
        """What a calibration has to solve."""
        both = (self.review, self.block)
        return tuple(cut for cut in both if isinstance(cut, ThresholdTarget))


WrittenThresholds: TypeAlias = Thresholds | UnsolvedThresholds


@dataclass(frozen=True)
class Policy:
    """One kind of thing that is not allowed."""

    id: str
    title: str
    phrases: tuple[Phrase, ...]
    thresholds: WrittenThresholds
    description: str = ""
    category: str = OTHER
    severity: Severity = Severity.MEDIUM
    contrast: tuple[Phrase, ...] = ()
    templates: tuple[str, ...] = DEFAULT_TEMPLATES
    aggregation: str = "max"
    mode: Mode = Mode.ENFORCE
    canary: float = 1.0
    """Of a policy in force, the share of contents on which it acts; a shadow for the rest."""
    effective: date | None = None
    """The first day, in UTC, on which it is not off."""
    expires: date | None = None
    """The last day, in UTC, on which it is not off."""
    owner: str = ""
    legal_ground: str = ""
    """The law that a violation breaks, for a statement of reasons."""
    clause_url: str = ""
    """Where the terms say so, for a statement of reasons."""
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
        if not 0.0 < self.canary <= 1.0:
            raise ValueError(f"canary ({self.canary}) must be above 0 and at most 1")
        if self.canary < 1.0 and self.mode is not Mode.ENFORCE:
            raise ValueError(f"policy {self.id!r}: only a policy that is enforced has a canary")
        if self.effective and self.expires and self.effective > self.expires:
            raise ValueError(f"policy {self.id!r} expires before it is effective")

    @cached_property
    def digest(self) -> str:
        """sha256 of all that it means, in hex; kept, for a set changes in one policy at a time."""
        return digest(canonical(self))

    @cached_property
    def scoring_digest(self) -> str:
        """sha256 of what determines the raw score; see `policy_hash`."""
        return digest(canonical(self, only=("phrases", "contrast", "templates", "aggregation")))

    def is_on(self, day: date) -> bool:
        """Whether it is scored on that day, enforced or not."""
        has_begun = self.effective is None or self.effective <= day
        return self.mode is not Mode.OFF and has_begun and not self.is_expired(day)

    def is_expired(self, day: date) -> bool:
        """Whether its last day has passed."""
        return self.expires is not None and self.expires < day


@dataclass(frozen=True, slots=True)
class Profile:
    """A named selection of policies with overrides, for one surface such as a marketplace."""

    id: str = DEFAULT_PROFILE
    policy_ids: frozenset[str] | None = None
    """The policies that apply; None means all of them."""
    thresholds: Mapping[str, WrittenThresholds] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """By policy id, instead of the policy's own."""
    on_unjudgeable: Action = Action.REVIEW
    review_budget: float | None = None
    """The share of contents that people can look at; told to those who watch, never enforced."""
    audit_share: float = 0.0
    """The random share of contents that a person looks at whatever they score."""

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name, share in (
            ("review_budget", self.review_budget),
            ("audit_share", self.audit_share),
        ):
            if share is not None and not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} ({share}) must be between 0 and 1")

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
    file: str = field(compare=False)
    """Where it is written; not a part of its meaning."""


@dataclass(frozen=True)
class PolicySet:
    """All policies that are loaded together, and the profiles by their ids."""

    policies: tuple[Policy, ...]
    profiles: Mapping[str, Profile] = field(
        default_factory=lambda: MappingProxyType({DEFAULT_PROFILE: Profile()})
    )
    categories: Mapping[str, Category] = field(default_factory=lambda: MappingProxyType({}))
    """The taxonomy; empty where there is none, and then any category will do."""
    calibrations: Mapping[str, PolicyCalibration] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """By policy id, for one encoder; part of the set because they decide as policies do."""
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
        self._require_categories()

    def _require_categories(self) -> None:
        require_tree(self.categories)
        known = {OTHER, *self.categories}
        for policy in self.policies if self.categories else ():
            if policy.category not in known:
                raise ValueError(f"policy {policy.id!r}: there is no category {policy.category!r}")

    @cached_property
    def version(self) -> str:
        """sha256 of the canonical form, in hex: equal meaning, equal version.

        What a reader of a decision sees counts, such as a title; the order of
        policies, phrases and templates does not, and neither does 1 instead of 1.0.
        """
        others = {
            name: canonical(getattr(self, name))
            for name in ("profiles", "categories", "calibrations")
        }
        if self.encoder is not None:
            others["encoder"] = self.encoder.encoder_id
        return digest({**others, "policies": sorted(policy.digest for policy in self.policies)})

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
        if unknown := policy_ids - known.keys():
            raise UnknownName("options.policy_ids", _unknown(min(unknown), known))


def policy_hash(policy: Policy) -> str:
    """sha256 of what determines a policy's raw score, in hex; a calibration is bound to it.

    Thresholds and words for people leave it alone.
    """
    return policy.scoring_digest


def _unknown(name: str, known: Mapping[str, object]) -> str:
    names = sorted(known)
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"unknown name {name[:64]!r}; known: {', '.join(names[:SHOWN_NAMES])}{more}"

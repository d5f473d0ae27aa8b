"""What is likely to be wrong with policies that can be used: rules over words and vectors.

A set that its source refuses does not come here, so that all of this are warnings.
Rules compare phrases with phrases; what a picture would do is left to tests and to
the diff.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from moderation.core.aggregation import AGGREGATIONS, Groups
from moderation.core.content import Embeddings
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import Mode, Phrase, Policy
from moderation.core.scoring import CompiledPolicies, Side, calibrated, texts_of
from moderation.core.solving import stale_calibrations
from moderation.core.wording import is_foreign, negation_in, odd_end_of

COLLISION = 0.8
"""Similarity from which on two texts are nearly the same to an encoder."""
MULTILINGUAL_FAMILIES = frozenset({"siglip2"})
FAMILIES_THAT_NEED_CONTRAST = frozenset({"clip", "siglip", "siglip2"})
"""Whose score defaults expect a margin; a similarity alone, scaled alike, is always high."""
ROWS_AT_ONCE = 2048
STALE = "W108"
"""The one finding that a setting makes an error."""

CountCut = Callable[[Sequence[str]], Sequence[int]]
"""How many tokens of each text lie beyond the encoder's limit, and are never seen."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at, by policy and key, and the text in that key's list if it has one."""

    code: str
    policy_id: str
    key: str
    text: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class Lint:
    """What the rules look at; `compiled` is as if no policy had dates."""

    compiled: CompiledPolicies
    encoder: EncoderInfo
    count_cut: CountCut
    day: date


def lint(looked_at: Lint) -> tuple[Finding, ...]:
    """Everything that any rule finds, by policy."""
    found = [finding for rule in RULES for finding in rule(looked_at)]
    return tuple(sorted(found, key=lambda one: (one.policy_id, one.code, one.key)))


def cut_texts(looked_at: Lint) -> Iterator[Finding]:
    """Texts of which the encoder sees only the beginning."""
    written = list(_written(looked_at.compiled))
    longest = [max(texts_of(one.phrase, one.policy.templates), key=len) for one in written]
    for one, cut in zip(written, looked_at.count_cut(longest), strict=True):
        if cut:
            message = f"the encoder does not see its last {cut} tokens"
            yield one.finding("W101", message, "say it in fewer words")


def repeated_texts(looked_at: Lint) -> Iterator[Finding]:
    """Phrases that stand in more than one policy."""
    first_by_text: dict[str, str] = {}
    for one in _written(looked_at.compiled, keys=("phrases",)):
        first = first_by_text.setdefault(one.phrase.text.casefold(), one.policy.id)
        if first != one.policy.id:
            message = f"is a phrase of policy {first} too: both find the same"
            yield one.finding("W102", message, "keep it where it belongs")


def foreign_contrast(looked_at: Lint) -> Iterator[Finding]:
    """Phrases that another policy takes for harmless."""
    phrases, contrast = looked_at.compiled.phrases, looked_at.compiled.contrast
    own_by_position = _texts_by_position(looked_at.compiled, contrast)
    owner = _owner(contrast)
    written = list(_written(looked_at.compiled, keys=("phrases",)))
    for row, column, similarity in _near(phrases.matrix, contrast.matrix):
        one, other = written[row], contrast.phrases[column].text
        position = looked_at.compiled.positions[one.policy.id]
        is_own = owner[column] == position or other.casefold() in own_by_position[position]
        is_same = other.casefold() == phrases.phrases[row].text.casefold()  # both mean just that
        if is_own or is_same or similarity <= _nearest_of_its_own(phrases, position, row):
            continue
        policy_id = looked_at.compiled.policies[owner[column]].id
        message = (
            f"is nearer to {other!r}, which policy {policy_id} takes for harmless "
            f"(similarity {similarity:.2f}), than to the other phrases here"
        )
        yield one.finding("W103", message, "say what makes the difference, in one of them")


def swallowed_phrases(looked_at: Lint) -> Iterator[Finding]:
    """Phrases that even a picture just like them would not reach `review` with."""
    for one, score, review in _own_scores(looked_at.compiled, "phrases"):
        if score < review:
            message = (
                f"its own contrast swallows it: what is just like it scores {score:.2f}, "
                f"below review ({review:g})"
            )
            yield one.finding("W104", message, "make the contrast less like it, or drop one")


def weak_contrast(looked_at: Lint) -> Iterator[Finding]:
    """Contrast phrases that a picture just like them would be flagged with."""
    for one, score, review in _own_scores(looked_at.compiled, "contrast"):
        if score >= review:
            message = (
                f"is hardly told apart from the phrases: what is just like it scores "
                f"{score:.2f}, and is flagged from {review:g} on"
            )
            yield one.finding("W105", message, "reword the nearest phrase, or raise review")


def foreign_texts(looked_at: Lint) -> Iterator[Finding]:
    """Texts that an encoder for English does not read, as far as `is_foreign` can tell."""
    if looked_at.encoder.family in MULTILINGUAL_FAMILIES:
        return
    for one in _written(looked_at.compiled):
        if is_foreign(one.phrase.text):
            message = f"is not in English, and encoder {looked_at.encoder.name} reads English only"
            yield one.finding("W106", message, "write it in English")


def blind_policies(looked_at: Lint) -> Iterator[Finding]:
    """Policies in force that the starter encoder cannot judge."""
    for policy in looked_at.compiled.policies:
        if looked_at.encoder.is_starter and policy.needs_clip and policy.mode is Mode.ENFORCE:
            message = "the starter encoder cannot judge this: the policy acts on nothing"
            cure = "export CLIP (docs/encoders.md), or set mode: shadow"
            yield Finding("W107", policy.id, "needs_clip", "", message, cure)


def stale_fits(looked_at: Lint) -> Iterator[Finding]:
    """Calibrations of an earlier wording."""
    for policy_id in stale_calibrations(looked_at.compiled.policy_set):
        message = "its calibration was made for an earlier wording"
        cure = "run `moderation calibrate LABELS`"
        yield Finding(STALE, policy_id, "phrases", "", message, cure)


def expired_policies(looked_at: Lint) -> Iterator[Finding]:
    """Policies whose last day has passed."""
    for policy in looked_at.compiled.policy_set.policies:
        if policy.mode is not Mode.OFF and policy.is_expired(looked_at.day):
            message = f"expired on {policy.expires}: it judges nothing any more"
            yield Finding("W109", policy.id, "expires", "", message, "remove it, or move the date")


def unused_policies(looked_at: Lint) -> Iterator[Finding]:
    """Policies that no profile selects."""
    policy_set = looked_at.compiled.policy_set
    for policy in policy_set.policies:
        if not any(profile.selects(policy.id) for profile in policy_set.profiles.values()):
            message = "no profile selects it: it judges nothing"
            yield Finding("W110", policy.id, "id", "", message, "add it to a profile")


def lone_phrases(looked_at: Lint) -> Iterator[Finding]:
    """Policies that compare with nothing, where a similarity alone says little."""
    if looked_at.encoder.family not in FAMILIES_THAT_NEED_CONTRAST:
        return
    for position, policy in enumerate(looked_at.compiled.policies):
        if not policy.contrast and not looked_at.compiled.calibrated[position]:
            message = (
                f"has no contrast: to encoder {looked_at.encoder.name} every picture is a little "
                "like every text, so that nearly all would be flagged"
            )
            cure = "add contrast phrases, or background to lists.yaml"
            yield Finding("W111", policy.id, "phrases", "", message, cure)


def denied_texts(looked_at: Lint) -> Iterator[Finding]:
    """Texts that deny something, which encoders of this kind take for the thing itself."""
    for one in _written(looked_at.compiled):
        if word := negation_in(one.phrase.text):
            message = f"an encoder does not understand {word!r}: it finds what is denied"
            yield one.finding(
                "W112", message, "say what can be seen; put what is meant to pass under contrast"
            )


def untidy_texts(looked_at: Lint) -> Iterator[Finding]:
    """Texts with a mark at an end that was meant for YAML, or for a reader."""
    for one in _written(looked_at.compiled):
        if mark := odd_end_of(one.phrase.text):
            yield one.finding("W113", f"{mark} is part of the text", "remove it")


RULES: tuple[Callable[[Lint], Iterator[Finding]], ...] = (
    cut_texts,
    repeated_texts,
    foreign_contrast,
    swallowed_phrases,
    weak_contrast,
    foreign_texts,
    blind_policies,
    stale_fits,
    expired_policies,
    unused_policies,
    lone_phrases,
    denied_texts,
    untidy_texts,
)


@dataclass(frozen=True, slots=True)
class _Written:
    """A phrase or contrast phrase where it stands."""

    policy: Policy
    key: str
    phrase: Phrase

    def finding(self, code: str, message: str, cure: str) -> Finding:
        return Finding(code, self.policy.id, self.key, self.phrase.text, message, cure)


def _written(
    compiled: CompiledPolicies, *, keys: Sequence[str] = ("phrases", "contrast")
) -> Iterator[_Written]:
    """In the order of the compiled matrices' rows, if only one key is wanted."""
    for policy in compiled.policies:
        for key in keys:
            for phrase in getattr(policy, key):
                yield _Written(policy, key, phrase)


def _owner(contrast: Side) -> NDArray[np.intp]:
    """The policy's position of each contrast phrase."""
    owner = np.zeros(len(contrast.phrases), dtype=np.intp)
    for position, span in contrast.spans.items():
        owner[span] = position
    return owner


def _texts_by_position(compiled: CompiledPolicies, side: Side) -> list[frozenset[str]]:
    empty = slice(0, 0)
    spans = [side.spans.get(position, empty) for position in range(len(compiled.policies))]
    return [frozenset(one.text.casefold() for one in side.phrases[span]) for span in spans]


def _near(rows: Embeddings, columns: Embeddings) -> Iterator[tuple[int, int, float]]:
    """Of each row the nearest column, where that is a collision."""
    for start in range(0, len(rows) if len(columns) else 0, ROWS_AT_ONCE):
        similarities = rows[start : start + ROWS_AT_ONCE] @ columns.T
        nearest = similarities.argmax(axis=1)
        best = similarities[np.arange(len(nearest)), nearest]
        for row in np.flatnonzero(best >= COLLISION):
            yield start + int(row), int(nearest[row]), float(best[row])


def _nearest_of_its_own(phrases: Side, position: int, row: int) -> float:
    span = phrases.spans[position]
    similarities = phrases.matrix[span] @ phrases.matrix[row]
    similarities[row - span.start] = -1.0
    return float(similarities.max())


def _own_scores(compiled: CompiledPolicies, key: str) -> Iterator[tuple[_Written, float, float]]:
    """Each text's score if a picture looked just like it, and the policy's `review`."""
    side = compiled.phrases if key == "phrases" else compiled.contrast
    longest = max((span.stop - span.start for span in side.spans.values()), default=0)
    raw = np.full((longest, len(compiled.policies)), np.nan)
    for position, span in side.spans.items():
        rows = side.matrix[span]
        towards = _aggregated(compiled.phrases, position, rows)
        away = _aggregated(compiled.contrast, position, rows)
        raw[: len(rows), position] = compiled.scale * (towards - away)
    scores = calibrated(np.nan_to_num(raw), compiled)
    for position, policy in enumerate(compiled.policies):
        review = compiled.thresholds[position].review
        for row, phrase in enumerate(getattr(policy, key)):
            yield _Written(policy, key, phrase), float(scores[row, position]), review


def _aggregated(side: Side, position: int, rows: Embeddings) -> NDArray[np.float32]:
    span = side.spans.get(position)
    if span is None:
        return np.zeros(len(rows), dtype=np.float32)
    weights = [phrase.weight for phrase in side.phrases[span]]
    aggregation = next(one.aggregation for one in side.blocks if position in one.policies)
    similarities = rows @ side.matrix[span].T
    return AGGREGATIONS[aggregation](similarities, Groups.from_weights([weights]))[:, 0]

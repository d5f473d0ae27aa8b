"""Contents whose truth is known: embeddings made so that raw scores have a stated distribution.

The policy looks for "a gun" and not for "a toy". A content's raw score depends only on
its component along the difference of these two embeddings; the rest points anywhere.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from moderation.core.bounds import errors_allowed
from moderation.core.calibration import Fit
from moderation.core.content import Embeddings
from moderation.core.labels import Label, LabelledScores
from moderation.core.policy import Policy, PolicySet
from moderation.service.calibrate import Scorer, Seen, probabilities
from tests.builders import SCALE, a_policy, a_policy_set, an_encoder_info
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of

BENIGN = NormalDist(0.0, 1.0)
VIOLATING = NormalDist(2.5, 1.5)
POLICY = a_policy("weapons", phrases=["a gun"], contrast=["a toy"])
_AXIS = (embedding_of("a gun") - embedding_of("a toy")).astype(np.float64)
_LENGTH = float(np.linalg.norm(_AXIS))


@dataclass(frozen=True)
class Sample:
    """Labels, and what the encoder saw."""

    labels: tuple[Label, ...]
    seen: Seen


def a_scorer(*policies: Policy, policy_set: PolicySet | None = None) -> Scorer:
    held = policy_set or a_policy_set(*(policies or (POLICY,)))
    return Scorer.of(held, an_encoder_info(), FakeEncoder())


def a_sample(generator: np.random.Generator, *, benign: int, violating: int) -> Sample:
    """So many independent contents, labelled with the truth."""
    raw = np.concatenate([drawn(BENIGN, generator, benign), drawn(VIOLATING, generator, violating)])
    labels = tuple(
        Label(str(number), POLICY.id, is_violating=number >= benign, is_image=False)
        for number in range(len(raw))
    )
    rows = with_raw_scores(raw, generator)
    return Sample(labels, {label.subject: rows[[i]] for i, label in enumerate(labels)})


def drawn(
    distribution: NormalDist, generator: np.random.Generator, size: int
) -> NDArray[np.float64]:
    return np.asarray(generator.normal(distribution.mean, distribution.stdev, size))


def with_raw_scores(raw: NDArray[np.float64], generator: np.random.Generator) -> Embeddings:
    """Unit vectors float32[n, dim] that the policy scores so."""
    along = raw / SCALE.scale / _LENGTH
    rest = generator.normal(size=(len(raw), FAKE_DIM))
    rest -= np.outer(rest @ _AXIS, _AXIS) / _LENGTH**2
    rest *= (np.sqrt(1.0 - along**2) / np.linalg.norm(rest, axis=1))[:, None]
    return np.asarray(np.outer(along, _AXIS) / _LENGTH + rest, dtype=np.float32)


def true_share_reaching(threshold: float, fit: Fit, distribution: NormalDist) -> float:
    """Of all contents of a kind, how many have a probability of at least the threshold."""
    return 1.0 - distribution.cdf(raw_at(threshold, fit))


def shares_by_rank(
    scores: LabelledScores, false_rate: float, missed_rate: float
) -> tuple[float, float]:
    """What the ranks promise: the share of all benign contents above theirs, of violating below.

    They are those that `errors_allowed` gives for rates of benign contents that reach a
    threshold, and of violating ones that miss it.
    """
    benign, violating = (
        np.sort(scores.raw[scores.is_violating == is_violating]) for is_violating in (False, True)
    )
    false, missed = (
        errors_allowed(len(raw), rate)
        for raw, rate in ((benign, false_rate), (violating, missed_rate))
    )
    assert false is not None
    assert missed is not None
    return 1.0 - BENIGN.cdf(benign[-1 - false]), 1.0 - VIOLATING.cdf(violating[missed])


def raw_at(threshold: float, fit: Fit) -> float:
    """The least raw score whose probability reaches the threshold."""
    low, high = -100.0, 100.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        reaches = probabilities(fit, np.array([middle]))[0] >= threshold
        low, high = (low, middle) if reaches else (middle, high)
    return high

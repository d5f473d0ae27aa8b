"""How long a policy diff takes: 100,000 contents, 500 policies of 20 phrases, two cores.

Embeddings are drawn at random, so that no encoder's time is in the figures. Three
edits are tried: one threshold moved, a phrase of one policy changed, and a phrase of
every policy changed, which is the worst there is. One thread of linear algebra for each
of the two workers, as the command has it: they share the cores better than four would.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.policy_diff
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from moderation.core.calibration import Calibration
from moderation.core.content import Embeddings, PixelSpec
from moderation.core.corpus import Corpus
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import Phrase, Policy, PolicySet, Thresholds
from moderation.core.scoring import ScoreScale
from moderation.service.policy_diff import PolicyComparer

DIM = 384
CONTRAST = 3
"""Contrast phrases a policy, beside its phrases; as the shipped policies have."""
SCALE = ScoreScale(scale=1.0, default=Calibration(bias=0.33, temperature=0.08))


class RandomTexts:
    """A text encoder that answers at once: the same text, the same vector."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder."""
        seeds = (abs(hash(text)) for text in texts)
        return _unit(np.stack([np.random.default_rng(seed).normal(size=DIM) for seed in seeds]))


def main() -> None:
    """Print one line an edit."""
    options = _options()
    old = PolicySet(tuple(_policy(n, options.phrases) for n in range(options.policies)))
    print(
        f"{options.contents:,} contents, {options.policies} policies of {options.phrases} phrases"
    )
    corpus = _corpus(options.contents)
    with ThreadPoolExecutor(2) as executor:
        info = EncoderInfo("x", "x", "x", DIM, PixelSpec(8), SCALE, "none")
        comparer = PolicyComparer(encoder=info, texts=RandomTexts(), executor=executor)
        for name, new in _edits(old).items():
            started, cpu = time.perf_counter(), time.process_time()
            found = comparer.compare(old, new, corpus).effects
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
            assert found is not None
            print(
                f"{name}: {wall_s:.1f} s wall, {cpu_s:.1f} s of processor time, "
                f"{len(found.tally.flips):,} flips, {found.tally.rechecked} scored alone"
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=int, default=100_000)
    parser.add_argument("--policies", type=int, default=500)
    parser.add_argument("--phrases", type=int, default=20)
    return parser.parse_args()


def _policy(number: int, phrases: int) -> Policy:
    return Policy(
        id=f"p{number}",
        title="x",
        phrases=tuple(Phrase(f"phrase {number} {one}") for one in range(phrases)),
        contrast=tuple(Phrase(f"contrast {number} {one}") for one in range(CONTRAST)),
        thresholds=Thresholds(0.3, 0.5),
        templates=("{}",),
    )


def _edits(old: PolicySet) -> dict[str, PolicySet]:
    moved = replace(old.policies[0], thresholds=Thresholds(0.2, 0.5))
    reworded = tuple(
        replace(one, phrases=(Phrase(f"new {one.id}"), *one.phrases[1:])) for one in old.policies
    )
    return {
        "one threshold": PolicySet((moved, *old.policies[1:])),
        "one phrase": PolicySet((reworded[0], *old.policies[1:])),
        "a phrase of every policy": PolicySet(reworded),
    }


def _corpus(contents: int) -> Corpus:
    embeddings = _unit(np.random.default_rng(1).normal(size=(contents, DIM)))
    ids = tuple(f"upload-{number}" for number in range(contents))
    return Corpus(ids, embeddings, np.arange(contents))


def _unit(vectors: np.ndarray) -> Embeddings:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / norms, dtype=np.float32)


if __name__ == "__main__":
    main()

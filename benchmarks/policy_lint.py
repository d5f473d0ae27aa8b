"""How long lint takes: 1,000 policies of 20 phrases whose embeddings are on disk.

Policies and vectors are drawn at random, so that no encoder's time is in the figures.

    python -m benchmarks.policy_lint [--policies N]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moderation.adapters.encoders.registry import describe_encoder
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.text_cache import CachedTexts
from moderation.core.content import Embeddings
from moderation.core.scoring import texts_to_embed

PHRASES, CONTRAST = 20, 3
RUNS = 3


class RandomTexts:
    """A text encoder that answers at once."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._random = np.random.default_rng(1)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder."""
        vectors = self._random.normal(size=(len(texts), self._dim))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / norms, dtype=np.float32)


def main() -> None:
    """Print the time of a few runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=1000)
    count = parser.parse_args().policies
    with tempfile.TemporaryDirectory() as scratch:
        directory, cache = Path(scratch, "policies"), Path(scratch, "cache")
        directory.mkdir()
        for number in range(count):
            (directory / f"p{number}.yaml").write_text(_policy(number))
        _fill(cache, directory)
        for _ in range(RUNS):
            seconds, cpu_s, last = _lint(directory, cache)
            print(f"{seconds:.1f} s wall, {cpu_s:.1f} s of processor time ({last})")


def _policy(number: int) -> str:
    phrases = "".join(f"  - a thing of kind {number} and {one}\n" for one in range(PHRASES))
    contrast = "".join(f"  - a toy of kind {number} and {one}\n" for one in range(CONTRAST))
    head = f"id: p{number}\ntitle: Policy {number}\n"
    cuts = "thresholds: {review: 0.5, block: 0.8}\n"
    return f"{head}phrases:\n{phrases}contrast:\n{contrast}{cuts}"


def _fill(cache: Path, directory: Path) -> None:
    encoder, _ = describe_encoder("starter")
    texts = CachedTexts(
        cache,
        encoder_id=encoder.encoder_id,
        dim=encoder.dim,
        encoder=lambda: RandomTexts(encoder.dim),
        max_bytes=2**30,
    )
    texts.encode_texts(sorted(texts_to_embed(YamlPolicySource(directory).load())))


def _lint(directory: Path, cache: Path) -> tuple[float, float, str]:
    command = [sys.executable, "-m", "moderation", "policy", "lint", "--policies", str(directory)]
    environment = {**os.environ, "MODERATION_POLICIES__CACHE_DIRECTORY": str(cache)}
    started, before = time.perf_counter(), os.times()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return time.perf_counter() - started, used, ended.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()

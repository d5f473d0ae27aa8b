"""Scores of many contents at once: the same numbers as `score` gives, up to rounding.

`score` lays one content's similarities out in a row. Here a phrase has a row, with
all contents beside each other, and is reduced while it is in the processor's cache.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moderation.core.aggregation import AGGREGATIONS, Groups, Similarities
from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.scoring import Block, CompiledPolicies, Side, calibrated

PHRASES_AT_ONCE = 1000
"""Their similarities to a chunk of contents stay in the processor's cache until reduced."""
ROUNDING = 1e-6
"""Largest difference of a similarity from that of `score`; five times the most that was seen."""


def rescore(corpus: Corpus, compiled: CompiledPolicies) -> NDArray[np.float64]:
    """Scores float64[contents, policies]; of several frames, each policy's highest counts."""
    n_policies = len(compiled.policies)
    towards = _aggregate(compiled.phrases, corpus.embeddings, n_policies)
    away = _aggregate(compiled.contrast, corpus.embeddings, n_policies)
    raw = compiled.scale * (towards - away).astype(np.float64).T
    if len(corpus) < len(raw):
        raw = np.maximum.reduceat(raw, corpus.starts, axis=0)
    return calibrated(np.ascontiguousarray(raw), compiled)


def rounding_of(compiled: CompiledPolicies) -> NDArray[np.float64]:
    """How far a score may be from that of `score`, float64[policies]."""
    # Two similarities make a raw score.
    return np.asarray(2.0 * ROUNDING * compiled.scale * compiled.curves.steepness)


def _aggregate(side: Side, embeddings: Embeddings, n_policies: int) -> Similarities:
    """float32[policies, frames], 0 for a policy without such phrases."""
    reduced = np.zeros((n_policies, len(embeddings)), dtype=np.float32)
    for block in side.blocks:
        matrix = side.matrix[block.columns]
        if block.aggregation == "mean":  # the mean of products is the product with the mean
            reduced[block.policies] = _means(matrix, block.groups) @ embeddings.T
            continue
        for first, stop in _runs(block.groups):
            start = block.groups.starts[first]
            end = block.groups.starts[stop - 1] + block.groups.lengths[stop - 1]
            similarities: Similarities = matrix[start:end] @ embeddings.T
            for number in range(first, stop):
                rows = similarities[block.groups.starts[number] - start :]
                _reduce(block, number, rows, reduced[block.policies[number]])
    return reduced


def _means(matrix: Embeddings, groups: Groups) -> Embeddings:
    """Each group's weighted mean vector, which is shorter than 1."""
    total = np.add.reduceat(matrix * groups.weights[:, None], groups.starts, axis=0)
    weight = np.add.reduceat(groups.weights, groups.starts)
    return np.asarray(total / weight[:, None], dtype=np.float32)


def _runs(groups: Groups) -> Iterator[tuple[int, int]]:
    """Bounds of neighbouring groups that have about PHRASES_AT_ONCE phrases together."""
    first = 0
    while first < len(groups.starts):
        wanted = groups.starts[first] + PHRASES_AT_ONCE
        stop = max(first + 1, int(np.searchsorted(groups.starts, wanted)))
        yield first, stop
        first = stop


def _reduce(block: Block, number: int, rows: Similarities, out: Similarities) -> None:
    """Reduce one group, whose phrases are the first of these rows."""
    start, length = block.groups.starts[number], block.groups.lengths[number]
    weights = block.groups.weights[start : start + length]
    if block.aggregation == "max" and (weights == 1.0).all():
        np.maximum.reduce(rows[:length], axis=0, out=out)
        return
    alone = Groups(np.zeros(1, dtype=np.intp), np.array([length]), weights)
    transposed = np.ascontiguousarray(rows[:length].T)
    out[:] = AGGREGATIONS[block.aggregation](transposed, alone)[:, 0]

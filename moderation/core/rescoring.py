"""Scores of many contents at once: the same numbers as `score` gives, up to rounding.

`score` lays one content's similarities out in a row. Here a phrase has a row, with
all contents beside each other, and is reduced while it is in the processor's cache.
Scores stay so, in float32, whose exponential takes a fifth of the time.
Two policy sets may be scored together: what they have in common is multiplied once,
and multiplying is what takes the time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.core.aggregation import AGGREGATIONS, Groups, Similarities, Weights
from moderation.core.content import Embedding, Embeddings
from moderation.core.corpus import Corpus
from moderation.core.scoring import CompiledPolicies, Side

PHRASES_AT_ONCE = 1000
"""Their similarities to a chunk of contents stay in the processor's cache until reduced."""
ROUNDING = 1e-6
"""Largest difference of a similarity from that of `score`; five times the most that was seen."""
_FLOAT32 = 2.0**-24
"""The most by which a number of float32 is off, relative to it."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a policy's number belongs: in which set, and at which position there."""

    set_number: int
    position: int


@dataclass(frozen=True, slots=True)
class Group:
    """One policy's phrases."""

    spot: Spot
    aggregation: str
    rows: Embeddings
    weights: Weights


@dataclass(frozen=True, slots=True)
class Reduction:
    """How one policy's number is made of a matrix: which rows, and how they are reduced."""

    spot: Spot
    aggregation: str
    rows: slice
    alone: Groups
    """The rows as the only group."""
    is_plain_max: bool
    """The highest similarity decides, and no phrase has a lesser weight."""

    @classmethod
    def of(cls, group: Group, order: Sequence[int], start: int) -> "Reduction":
        """Of a group whose rows stand in that order from `start` on."""
        weights = group.weights[order]
        return cls(
            spot=group.spot,
            aggregation=group.aggregation,
            rows=slice(start, start + len(order)),
            alone=Groups(np.zeros(1, dtype=np.intp), np.array([len(order)]), weights),
            is_plain_max=group.aggregation == "max" and bool((weights == 1.0).all()),
        )


@dataclass(frozen=True, slots=True)
class Product:
    """The phrases, or the contrast phrases, of all sets; what two sets share stands there once."""

    matrix: Embeddings
    runs: tuple[tuple[Reduction, ...], ...]
    """Neighbours that are reduced before more is multiplied."""
    means: Embeddings
    """The mean of products is the product with the mean, which is shorter than 1."""
    mean_spots: Mapping[Spot, int]
    """Rows of `means`."""

    @classmethod
    def of(cls, sides: Sequence[Side], policy_ids: Sequence[Sequence[str]]) -> "Product":
        """Of one side or two, and the ids of their policies by position."""
        averaged: dict[Spot, Embedding] = {}
        by_policy: dict[str, list[Group]] = {}
        for set_number, (side, ids) in enumerate(zip(sides, policy_ids, strict=True)):
            for group in _groups(side, set_number):
                if group.aggregation == "mean":
                    averaged[group.spot] = _mean(group)
                else:
                    by_policy.setdefault(ids[group.spot.position], []).append(group)
        dim = sides[0].matrix.shape[1]
        means, numbers = np.unique(
            np.array([*averaged.values()], dtype=np.float32).reshape(-1, dim),
            axis=0,
            return_inverse=True,
        )
        rows, reductions = _laid_out(by_policy.values())
        return cls(
            matrix=np.concatenate([np.zeros((0, dim), dtype=np.float32), *rows]),
            runs=tuple(_runs(reductions)),
            means=means,
            mean_spots=dict(zip(averaged, numbers.ravel().tolist(), strict=True)),
        )

    def aggregate(self, embeddings: Embeddings, sizes: Sequence[int]) -> list[Similarities]:
        """For each set float32[policies, frames], 0 for a policy without such phrases."""
        found = [np.zeros((size, len(embeddings)), dtype=np.float32) for size in sizes]
        averages: Similarities = self.means @ embeddings.T
        for spot, row in self.mean_spots.items():
            found[spot.set_number][spot.position] = averages[row]
        bounds = [(run[0].rows.start, max(one.rows.stop for one in run)) for run in self.runs]
        longest = max((stop - start for start, stop in bounds), default=0)
        # Written over by every run: a new array of this size has to be asked of the system.
        similarities = np.empty((longest, len(embeddings)), dtype=np.float32)
        for run, (start, stop) in zip(self.runs, bounds, strict=True):
            np.matmul(self.matrix[start:stop], embeddings.T, out=similarities[: stop - start])
            for one in run:
                rows = similarities[one.rows.start - start : one.rows.stop - start]
                _reduce(one, rows, found[one.spot.set_number][one.spot.position])
        return found


@dataclass(frozen=True, slots=True)
class Rescoring:
    """One policy set, or two of which the second is an edit of the first, for many contents."""

    sets: tuple[CompiledPolicies, ...]
    phrases: Product
    contrast: Product

    @classmethod
    def of(cls, *sets: CompiledPolicies) -> "Rescoring":
        """Made once, used for every chunk."""
        ids = [[policy.id for policy in one.policies] for one in sets]
        return cls(
            sets=sets,
            phrases=Product.of([one.phrases for one in sets], ids),
            contrast=Product.of([one.contrast for one in sets], ids),
        )

    def scores(self, corpus: Corpus) -> tuple[NDArray[np.float32], ...]:
        """For each set float32[policies, contents]; of several frames, the highest counts."""
        return tuple(
            one.curves.apply(raw.T).T
            for one, raw in zip(self.sets, self.raw_scores(corpus), strict=True)
        )

    def raw_scores(self, corpus: Corpus) -> tuple[NDArray[np.float32], ...]:
        """As `scores`, before calibration."""
        sizes = [len(one.policies) for one in self.sets]
        towards = self.phrases.aggregate(corpus.embeddings, sizes)
        away = self.contrast.aggregate(corpus.embeddings, sizes)
        return tuple(
            _raw(one, corpus, near - far)
            for one, near, far in zip(self.sets, towards, away, strict=True)
        )


def rescore(corpus: Corpus, compiled: CompiledPolicies) -> NDArray[np.float64]:
    """Scores float64[contents, policies] by one set; see `Rescoring`."""
    return Rescoring.of(compiled).scores(corpus)[0].T.astype(np.float64)


def rounding_of(compiled: CompiledPolicies) -> NDArray[np.float64]:
    """How far a score may be from that of `score`, float64[policies]."""
    # Two similarities make a raw score, which lies within 2 * scale. It is scaled, shifted by
    # the bias and divided in float32; so is the score that the curve makes of it.
    largest = 2.0 * compiled.scale + np.abs(compiled.curves.bias)
    raw = 2.0 * ROUNDING * compiled.scale + 4.0 * _FLOAT32 * largest
    return np.asarray(raw * compiled.curves.steepness + 8.0 * _FLOAT32)


def _raw(compiled: CompiledPolicies, corpus: Corpus, margins: Similarities) -> NDArray[np.float32]:
    raw = margins
    raw *= np.float32(compiled.scale)
    if len(corpus) < raw.shape[1]:
        raw = np.maximum.reduceat(raw, corpus.starts, axis=1)
    return raw


def _groups(side: Side, set_number: int) -> Iterator[Group]:
    for block in side.blocks:
        matrix, groups = side.matrix[block.columns], block.groups
        for number, position in enumerate(block.policies.tolist()):
            rows = slice(groups.starts[number], groups.starts[number] + groups.lengths[number])
            spot = Spot(set_number, position)
            yield Group(spot, block.aggregation, matrix[rows], groups.weights[rows])


def _mean(group: Group) -> Embedding:
    total = (group.rows * group.weights[:, None]).sum(axis=0)
    return np.asarray(total / group.weights.sum(), dtype=np.float32)


def _laid_out(
    policies: Iterable[Sequence[Group]],
) -> tuple[list[Embeddings], list[Reduction]]:
    """Rows to stand below each other, and where each group's are: always side by side."""
    laid: list[Embeddings] = []
    reductions: list[Reduction] = []
    filled = 0
    for groups in policies:
        for group, order, n_shared in _ordered(groups):
            laid.append(group.rows[order[n_shared:]])
            reductions.append(Reduction.of(group, order, filled - n_shared))
            filled = reductions[-1].rows.stop
    return laid, reductions


def _ordered(groups: Sequence[Group]) -> Iterator[tuple[Group, list[int], int]]:
    """One policy's groups, their rows' order, and how many rows are the last ones of the former.

    What two groups share ends the first and begins the second.
    """
    first, *edited = groups
    shared = _shared(first.rows, edited[0].rows) if edited else {}
    own = [row for row in range(len(first.rows)) if row not in shared]
    yield first, [*own, *shared], 0
    for second in edited:
        known = list(shared.values())
        fresh = [row for row in range(len(second.rows)) if row not in known]
        yield second, [*known, *fresh], len(known)


def _shared(first: Embeddings, second: Embeddings) -> Mapping[int, int]:
    """Rows of the second by equal rows of the first; each stands there once."""
    row_by_bytes = {vector.tobytes(): row for row, vector in enumerate(second)}
    found = ((row, row_by_bytes.pop(vector.tobytes(), None)) for row, vector in enumerate(first))
    return {row: other for row, other in found if other is not None}


def _runs(reductions: Iterable[Reduction]) -> Iterator[tuple[Reduction, ...]]:
    """Neighbours that have about PHRASES_AT_ONCE rows together."""
    run: list[Reduction] = []
    for one in reductions:
        if run and one.rows.stop - run[0].rows.start > PHRASES_AT_ONCE:
            yield tuple(run)
            run = []
        run.append(one)
    if run:
        yield tuple(run)


def _reduce(one: Reduction, rows: Similarities, out: Similarities) -> None:
    if one.is_plain_max:
        np.maximum.reduce(rows, axis=0, out=out)
        return
    transposed = np.ascontiguousarray(rows.T)
    out[:] = AGGREGATIONS[one.aggregation](transposed, one.alone)[:, 0]

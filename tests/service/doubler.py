"""Stands in for an encoder where only the batches matter."""

from collections.abc import Sequence

from moderation.service.batching import Batched
from tests.fakes import Gate

CULPRIT = 13


class Doubler:
    """Doubles every item of a batch; fails on any batch that holds the culprit."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = Gate()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.gate.pass_through()
        self.batches.append(list(items))
        if CULPRIT in items:
            raise RuntimeError("unlucky")
        return [2 * item for item in items]


def results(batched: Sequence[Batched[int]]) -> list[int]:
    return [one.result for one in batched]

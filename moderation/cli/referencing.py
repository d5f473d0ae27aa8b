"""Makes references for drift with an encoder of this process's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from moderation.adapters.drift_references import DriftReferences
from moderation.cli.corpora import contents_of
from moderation.cli.exits import CommandError, Exit
from moderation.cli.local import NOBODY_LISTENS, load_policies
from moderation.cli.output import printable, say, say_table
from moderation.core.corpus import Corpus
from moderation.core.drift import Reference, bins_of, counted
from moderation.core.policy import Policy, policy_hash
from moderation.core.rescoring import Rescoring
from moderation.engine import Engine, running_engine
from moderation.settings import Settings

CHUNK_ROWS = 4096


async def write_references(
    settings: Settings, only: Sequence[str], on: Sequence[Path], recent: Path | None
) -> Exit:
    """Score, write, tell; raises CommandError or BundleRejected."""
    async with running_engine(settings, NOBODY_LISTENS) as engine:
        await load_policies(engine, settings.policies.directory)
        positions = _positions(engine, only)
        corpus = await contents_of(on, recent, engine, settings)
        _require_enough(corpus, settings)
        raw = _raw(corpus, engine) if corpus is not None else np.zeros((0, 0))
    store = DriftReferences(settings.policies.directory)
    table = Table("policy", "contents", "bins", "file", box=None)
    for policy_id, position in positions.items():
        edges = bins_of(raw[:, position])
        if not edges:
            table.add_row(policy_id, str(len(raw)), "1", "none: it scores everything alike")
            continue
        policy = engine.policies.current.policies[position]
        path = _saved(store, _reference(policy, engine, raw[:, position], edges))
        table.add_row(policy_id, str(len(raw)), str(len(edges) + 1), printable(str(path)))
    say_table(table)
    say("a running server compares its scores with them from now on; see docs/drift.md")
    return Exit.ALLOW


def _positions(engine: Engine, only: Sequence[str]) -> dict[str, int]:
    active = engine.policies.current.positions
    if unknown := [one for one in only if one not in active]:
        raise CommandError(f"no such active policy: {', '.join(unknown)}", Exit.USAGE)
    return {one: active[one] for one in (only or sorted(active))}


def _require_enough(corpus: Corpus | None, settings: Settings) -> None:
    contents, wanted = 0 if corpus is None else len(corpus), settings.drift.min_scores
    if contents < wanted:
        raise CommandError(
            f"{contents} contents are too few for a reference, drift.min_scores asks for {wanted}; "
            "name more with --on, or let a server keep embeddings with recent.enabled",
            Exit.NO_INPUT,
        )


def _raw(corpus: Corpus, engine: Engine) -> NDArray[np.float64]:
    rescoring = Rescoring.of(engine.policies.current)
    parts = (corpus.part(first, stop) for first, stop in corpus.chunks(CHUNK_ROWS))
    return np.concatenate([rescoring.raw_scores(part)[0].T for part in parts])


def _reference(
    policy: Policy, engine: Engine, raw: NDArray[np.float64], edges: tuple[float, ...]
) -> Reference:
    scale = engine.encoder.scale
    return Reference(
        policy_id=policy.id,
        encoder_id=engine.encoder.encoder_id,
        policy_hash=policy_hash(policy),
        scale=scale.scale,
        contrast_aggregation=scale.contrast_aggregation,
        edges=edges,
        counts=tuple(counted(raw, edges).tolist()),
    )


def _saved(store: DriftReferences, reference: Reference) -> Path:
    try:
        return store.save(reference)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", Exit.SOFTWARE) from error

"""From settings to what edits are tried on: recent embeddings, and tests before an activation."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from moderation.adapters.corpus_file import CorpusUnusable, load_corpus
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.policy_yaml.expectations import FOLDER, read_policy_tests
from moderation.adapters.recent_store import RecentStore, RecentUnavailable
from moderation.core.content import Embeddings
from moderation.core.encoder import EncoderInfo
from moderation.core.scoring import CompiledPolicies
from moderation.service.policy_tests import (
    ActivationTests,
    See,
    StoredEmbeddings,
    SubjectEmbeddings,
    accept,
    as_mapping,
)
from moderation.service.ports import TextEncoder
from moderation.service.recent import RecentKeeper
from moderation.settings import Settings


async def recent_keeper(
    settings: Settings, encoder: EncoderInfo, stack: AsyncExitStack, part: tuple[int, int]
) -> Callable[[str, Embeddings], None]:
    """Where judged contents are offered until the stack is closed; raises RecentUnavailable."""
    recent = settings.recent
    store = RecentStore(
        recent.directory,
        encoder_id=encoder.encoder_id,
        dim=encoder.dim,
        max_frames=recent.max_frames,
        max_age_s=recent.max_age_s,
        clock=time.time,
        part=part,
    )
    try:
        stack.enter_context(store)
    except RecentUnavailable as error:
        raise RecentUnavailable(f"recent.directory {error}") from error
    writing = stack.enter_context(ThreadPoolExecutor(1, "recent"))
    keeper = await stack.enter_async_context(RecentKeeper(store, executor=writing))
    return keeper.offer


def activation_check(
    settings: Settings, encoder: OnnxDualEncoder, see: See
) -> Callable[[CompiledPolicies], None]:
    """What a policy set has to stand before it is activated."""
    if not settings.policies.require_tests:
        return accept
    return activation_tests(settings, encoder.info, encoder, see)


def activation_tests(
    settings: Settings, encoder: EncoderInfo, texts: TextEncoder, see: See
) -> ActivationTests:
    """The tests beside the policies, read anew whenever they are run."""
    folder = settings.policies.directory / FOLDER

    def read(path: str) -> bytes:
        with Path(path).open("rb") as file:
            return file.read(settings.decode.max_image_bytes + 1)

    return ActivationTests(
        lambda: read_policy_tests([folder]) if folder.is_dir() else (),
        lambda: embeddings_of_tests(folder, encoder.encoder_id),
        SubjectEmbeddings(see, texts, read, StoredEmbeddings(folder, {})),
        is_starter=encoder.is_starter,
    )


def embeddings_of_tests(folder: Path, encoder_id: str) -> StoredEmbeddings:
    """What `moderation policy test --update` stored there for this encoder."""
    path = stored_path(folder, encoder_id)
    try:
        corpus = load_corpus(path, encoder_id=encoder_id)
    except FileNotFoundError:
        return StoredEmbeddings(folder, {})
    except CorpusUnusable as error:
        return StoredEmbeddings(folder, {}, str(error))
    except OSError as error:
        return StoredEmbeddings(folder, {}, f"{path}: cannot be read: {error.strerror}")
    return StoredEmbeddings(folder, as_mapping(corpus))


def stored_path(folder: Path, encoder_id: str) -> Path:
    """Where the embeddings of a folder's tests are stored."""
    return folder / f"{encoder_id[:12]}.npz"

"""From settings to encoders that are loaded and warm, and to what is kept of their work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from moderation.adapters.embedding_store import EmbeddingStore
from moderation.adapters.encoders.devices import Tuning
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.registry import load_encoder
from moderation.adapters.text_cache import CachedTexts, ignored
from moderation.core.encoder import EncoderInfo
from moderation.service.embedding_memory import NO_MEMORY, EmbeddingMemory, StoredEmbeddings
from moderation.service.ports import Telemetry, TextEncoder
from moderation.settings import Settings, bundle_store, cache_directory

TEXTS_OF_OTHERS_S = 30.0
"""For which a worker waits for another one to embed the texts of an edit that both have seen."""


def load_first_encoder(settings: Settings) -> OnnxDualEncoder:
    """The encoder that decides, ready to run; raises BundleRejected."""
    return load_bundle(
        settings,
        settings.encoder.bundle,
        Tuning(
            threads=settings.encoder.threads,
            spinning=settings.encoder.spinning,
            gpu_memory_limit_bytes=settings.encoder.gpu_memory_limit_bytes,
            engine_cache=_engine_cache(settings),
            batches_in_flight=settings.batching.batches_in_flight,
            largest_batch=settings.batching.max_batch_size,
        ),
    )


def load_second_encoder(settings: Settings) -> OnnxDualEncoder:
    """The encoder that only watches; raises BundleRejected.

    On one thread, and one content's frames at a time: the first encoder needs the machine.
    """
    return load_bundle(
        settings,
        settings.shadow_encoder.bundle,
        Tuning(
            threads=1,
            gpu_memory_limit_bytes=settings.encoder.gpu_memory_limit_bytes,
            engine_cache=_engine_cache(settings),
            batches_in_flight=1,
            largest_batch=settings.decode.max_frames_judged,
        ),
    )


def load_bundle(settings: Settings, name_or_path: str, tuning: Tuning) -> OnnxDualEncoder:
    """Load an encoder as the settings say and warm it up; raises BundleRejected."""
    encoder = load_encoder(
        name_or_path,
        store=bundle_store(settings),
        device=settings.encoder.device,
        tuning=tuning,
        allow_unverified=settings.encoder.allow_unverified,
    )
    encoder.warm_up()
    return encoder


def kept_texts(
    settings: Settings,
    encoder: EncoderInfo,
    texts: Callable[[], TextEncoder],
    *,
    warn: Callable[[str], None] = ignored,
) -> CachedTexts:
    """A text encoder that keeps its answers where the settings say; `texts` knows the others."""
    return CachedTexts(
        settings.policies.cache_directory,
        encoder_id=encoder.encoder_id,
        dim=encoder.dim,
        encoder=texts,
        max_bytes=settings.policies.cache_max_bytes,
        warn=warn,
        wait_s=TEXTS_OF_OTHERS_S if settings.server.workers > 1 else 0.0,
    )


async def embedding_memory(
    settings: Settings, encoder: EncoderInfo, telemetry: Telemetry, stack: AsyncExitStack
) -> EmbeddingMemory:
    """Where embeddings of contents are kept until the stack is closed; raises OSError."""
    cache = settings.cache
    if not cache.directory:
        return NO_MEMORY
    try:
        store = EmbeddingStore(
            Path(cache.directory),
            encoder_id=encoder.encoder_id,
            dim=encoder.dim,
            max_bytes=cache.max_disk_bytes,
            max_age_s=cache.max_age_s,
            warn=telemetry.embeddings_not_kept,
        )
    except OSError as error:
        raise OSError(f"cache.directory cannot be used: {error}") from error
    stack.enter_context(store)
    reading = stack.enter_context(ThreadPoolExecutor(1, "embeddings-read"))
    writing = stack.enter_context(ThreadPoolExecutor(1, "embeddings-write"))
    memory = StoredEmbeddings(store, reading=reading, writing=writing)
    return await stack.enter_async_context(memory)


def _engine_cache(settings: Settings) -> Path | None:
    """Created only where it is needed: TensorRT will not do it."""
    if "tensorrt" not in settings.encoder.device:
        return None
    directory = Path(settings.encoder.engine_cache or cache_directory() / "engines").expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    return directory

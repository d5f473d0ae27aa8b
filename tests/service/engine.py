"""A moderator over fakes, wired as the composition root wires the real one."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count

from moderation.core.content import Embedding, Embeddings, Pixels
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import PolicySet
from moderation.core.scoring import CompiledPolicies
from moderation.service.admission import Limits
from moderation.service.batching import Batcher
from moderation.service.decision_log import RECORDS_NOTHING
from moderation.service.embedding_cache import EmbeddingCache
from moderation.service.embedding_memory import NO_MEMORY, EmbeddingMemory
from moderation.service.encoding import ContentEncoder, encode_batch
from moderation.service.fetching import NO_FETCHING
from moderation.service.moderator import Moderator
from moderation.service.policy_store import PolicyStore
from moderation.service.policy_tests import accept
from moderation.service.ports import DecisionLog, ImageFetcher
from moderation.service.recent import keep_nothing
from tests.builders import NOON, a_policy_set, an_encoder_info
from tests.fakes import (
    FakeEncoder,
    FakeImageDecoder,
    FakeKeeper,
    FakePolicySource,
    RecordingTelemetry,
)

MAX_BATCH_SIZE = 8
ROOMY = Limits(max_in_flight=64, max_in_flight_bytes=2**20, max_request_s=10.0)


def one_thread(name: str) -> Executor:
    """For what runs beside the event loop."""
    return ThreadPoolExecutor(1, name)


class FakeClock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Engine:
    """What `running_engine` started, and the fakes beneath it."""

    moderator: Moderator
    policies: PolicyStore
    encoder: ContentEncoder
    images: FakeEncoder
    texts: FakeEncoder
    decoder: FakeImageDecoder
    source: FakePolicySource
    telemetry: RecordingTelemetry
    clock: FakeClock
    info: EncoderInfo
    keeper: FakeKeeper


@asynccontextmanager
async def running_engine(
    holds: PolicySet | Exception | None = None,
    *,
    images: FakeEncoder | None = None,
    texts: FakeEncoder | None = None,
    limits: Limits = ROOMY,
    reloaded: bool = True,
    keeper: FakeKeeper | None = None,
    max_age_s: float | None = None,
    check: Callable[[CompiledPolicies], None] = accept,
    keep: Callable[[str, Embeddings], None] = keep_nothing,
    decision_log: DecisionLog = RECORDS_NOTHING,
    memory: EmbeddingMemory = NO_MEMORY,
    fetcher: ImageFetcher = NO_FETCHING,
    thread: Callable[[str], Executor] = one_thread,
) -> AsyncIterator[Engine]:
    """An engine that holds these policies; texts have an encoder of their own to watch."""
    telemetry, decoder, clock = RecordingTelemetry(), FakeImageDecoder(), FakeClock()
    images, texts = images or FakeEncoder(), texts or FakeEncoder()
    source = FakePolicySource(holds or a_policy_set())
    info, kept = an_encoder_info(), keeper or FakeKeeper()
    numbers = count(1)
    async with AsyncExitStack() as stack:
        inference = stack.enter_context(thread("inference"))
        decoding = stack.enter_context(thread("decode"))
        reloading = stack.enter_context(thread("policies"))
        batcher = await stack.enter_async_context(
            Batcher[Pixels, Embedding](
                partial(encode_batch, images),
                executor=inference,
                telemetry=telemetry,
                max_batch_size=MAX_BATCH_SIZE,
                max_queue_size=16,
            )
        )
        cache = EmbeddingCache(
            max_bytes=2**20,
            refusal_s=60.0,
            telemetry=telemetry,
            clock=lambda: clock().timestamp(),
        )
        encoder = ContentEncoder(
            decoder=decoder,
            batcher=batcher,
            executor=decoding,
            decode_threads=1,
            cache=cache,
            encoder_id=info.encoder_id,
            telemetry=telemetry,
            memory=memory,
        )
        policies = PolicyStore(
            source=source,
            text_encoder=texts,
            encoder=info,
            telemetry=telemetry,
            clock=clock,
            executor=reloading,
            keeper=kept,
            max_age_s=max_age_s,
            check=check,
        )
        moderator = Moderator(
            policies=policies,
            encoder=encoder,
            telemetry=telemetry,
            limits=limits,
            clock=clock,
            new_id=lambda: f"decision-{next(numbers)}",
            keep=keep,
            decision_log=decision_log,
            images=fetcher,
        )
        if reloaded:
            await policies.reload()
        yield Engine(
            moderator,
            policies,
            encoder,
            images,
            texts,
            decoder,
            source,
            telemetry,
            clock,
            info,
            kept,
        )

"""What every adapter of a port has to keep, real or fake.

Subclass one in the adapter's test module, name the subclass `Test...`, and
provide the fixtures that it asks for.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import pytest

from moderation.core.content import Embeddings, PixelSpec
from moderation.core.decision import Failure
from moderation.core.errors import (
    FailureCode,
    PolicySetRejected,
    Problem,
    UnjudgeableContent,
)
from moderation.core.policy import Action, BoundEncoder, Mode, PolicySet
from moderation.service.activation import Activation, Pin, SetOrigin, activation_of
from moderation.service.decision_log import RecordStore
from moderation.service.outcomes import DecoderLoss, Lookup, ShadowOutcome, ShedReason, SpanLoss
from moderation.service.ports import (
    ChangeFeed,
    EmbeddedTexts,
    ImageDecoder,
    ImageEncoder,
    PolicyKeeper,
    PolicySource,
    Telemetry,
    TextEncoder,
)
from tests.builders import NOON, a_decision, a_judgement, a_policy, a_policy_set, a_verdict
from tests.fakes import PATIENCE_S


class ImageDecoderContract:
    """Fixtures: `decoder`, `pixel_spec` (what it was built for), `picture` (bytes it can read)."""

    def test_frames_are_rgb_squares_of_the_size_asked_for(
        self, decoder: ImageDecoder, pixel_spec: PixelSpec, picture: bytes
    ) -> None:
        frames = decoder.decode(picture)

        assert frames.dtype == np.uint8
        assert len(frames) >= 1
        assert frames.shape[1:] == (pixel_spec.size_px, pixel_spec.size_px, 3)

    def test_bytes_that_are_no_picture_are_unjudgeable(self, decoder: ImageDecoder) -> None:
        with pytest.raises(UnjudgeableContent) as caught:
            decoder.decode(b"broken: these bytes are no picture")

        assert caught.value.code in FailureCode
        assert "broken" not in caught.value.message

    def test_threads_do_not_disturb_each_other(self, decoder: ImageDecoder, picture: bytes) -> None:
        alone = decoder.decode(picture)

        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(decoder.decode, [picture] * 8))

        assert all(np.array_equal(frames, alone) for frames in together)


def assert_unit_rows(embeddings: Embeddings, rows: int) -> None:
    assert embeddings.dtype == np.float32
    assert embeddings.ndim == 2
    assert len(embeddings) == rows
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-3)


class ImageEncoderContract:
    """Fixtures: `encoder`, `pixel_spec`."""

    @pytest.fixture
    def frames(self, pixel_spec: PixelSpec) -> np.ndarray:
        """Three different frames: dark, noisy ASCII, and bright."""
        shape = (3, pixel_spec.size_px, pixel_spec.size_px, 3)
        noise = np.random.default_rng(7).integers(32, 127, shape, dtype=np.uint8)
        noise[0] //= 2
        noise[2] = np.minimum(noise[2] * 2, 126)
        return noise

    def test_every_frame_has_a_unit_row(self, encoder: ImageEncoder, frames: np.ndarray) -> None:
        assert_unit_rows(encoder.encode_images(frames), rows=3)

    def test_a_frame_means_the_same_alone_and_in_a_batch(
        self, encoder: ImageEncoder, frames: np.ndarray
    ) -> None:
        together = encoder.encode_images(frames)

        alone = np.concatenate([encoder.encode_images(frames[i : i + 1]) for i in range(3)])

        assert np.sum(together * alone, axis=1) == pytest.approx(1.0, abs=1e-3)


class TextEncoderContract:
    """Fixtures: `encoder`."""

    TEXTS: Sequence[str] = ("a gun", "a photo of a kitten asleep on a sofa.", "x")

    def test_every_text_has_a_unit_row(self, encoder: TextEncoder) -> None:
        assert_unit_rows(encoder.encode_texts(self.TEXTS), rows=len(self.TEXTS))

    def test_a_text_means_the_same_alone_and_in_a_batch(self, encoder: TextEncoder) -> None:
        together = encoder.encode_texts(self.TEXTS)

        alone = np.concatenate([encoder.encode_texts([text]) for text in self.TEXTS])

        assert np.sum(together * alone, axis=1) == pytest.approx(1.0, abs=1e-3)

    def test_different_texts_differ(self, encoder: TextEncoder) -> None:
        first, second, _ = encoder.encode_texts(self.TEXTS)

        assert float(first @ second) < 0.999


class PolicySourceContract:
    """Fixtures: `source` (with valid policies), `broken_source`."""

    def test_reading_twice_gives_the_same_version(self, source: PolicySource) -> None:
        assert source.load().version == source.load().version

    def test_what_cannot_be_used_is_rejected_with_its_place(
        self, broken_source: PolicySource
    ) -> None:
        with pytest.raises(PolicySetRejected) as caught:
            broken_source.load()

        assert caught.value.problems
        assert all(problem.file and problem.message for problem in caught.value.problems)


class PinnableKeeper(PolicyKeeper, Protocol):
    """A keeper on which somebody can put a pin."""

    def put_pin(self, pin: Pin) -> None: ...


class PolicyKeeperContract:
    """Fixtures: `keeper`, which has kept nothing yet."""

    GUNS = a_policy_set(a_policy("guns"))
    KNIVES = a_policy_set(a_policy("knives", phrases=["a knife"]))

    def activation(self, policy_set: PolicySet) -> Activation:
        return activation_of(policy_set, None, origin=SetOrigin.SOURCE, now=NOON)

    def test_at_first_there_is_nothing(self, keeper: PinnableKeeper) -> None:
        assert keeper.history() == ()
        assert keeper.pin() is None
        keeper.unpin()

    def test_what_was_kept_comes_back_the_same(self, keeper: PinnableKeeper) -> None:
        keeper.keep(self.GUNS, self.activation(self.GUNS))

        assert keeper.kept(self.GUNS.version).version == self.GUNS.version
        assert keeper.history() == (self.activation(self.GUNS),)

    def test_the_newest_activation_comes_first(self, keeper: PinnableKeeper) -> None:
        for policy_set in (self.GUNS, self.KNIVES, self.GUNS):
            keeper.keep(policy_set, self.activation(policy_set))

        versions = [one.version for one in keeper.history()]
        assert versions == [self.GUNS.version, self.KNIVES.version, self.GUNS.version]

    def test_what_was_not_kept_is_refused(self, keeper: PinnableKeeper) -> None:
        with pytest.raises(PolicySetRejected, match="was not kept"):
            keeper.kept(self.GUNS.version)

    def test_a_pin_stays_until_it_is_taken_off(self, keeper: PinnableKeeper) -> None:
        keeper.keep(self.GUNS, self.activation(self.GUNS))
        pin = Pin(self.GUNS.version, self.KNIVES.version)

        keeper.put_pin(pin)

        assert keeper.pin() == pin
        keeper.unpin()
        assert keeper.pin() is None


class RecordStoreContract:
    """Fixtures: `store`, which holds nothing yet."""

    def test_batches_are_taken_and_their_bytes_told(self, store: RecordStore) -> None:
        assert store.append([a_judgement("a"), a_judgement("b")]) > 0
        assert store.append([a_judgement("c")], lost=2) > 0

    def test_it_can_be_tended_at_any_time(self, store: RecordStore) -> None:
        store.tend()
        store.append([a_judgement()])
        store.tend()


class ChangeFeedContract:
    """Fixtures: `feed`; a subclass says how its source changes and how it is closed."""

    async def change(self, feed: ChangeFeed) -> None:
        """Change what the feed follows."""
        raise NotImplementedError

    async def close(self, feed: ChangeFeed) -> None:
        """Make the feed end."""
        raise NotImplementedError

    async def test_a_change_is_told_and_closing_ends_the_feed(self, feed: ChangeFeed) -> None:
        changes: AsyncIterator[None] = aiter(feed.changes())

        async with asyncio.timeout(PATIENCE_S):
            await self.change(feed)
            await anext(changes)

            await self.close(feed)
            async for _ in changes:
                """What was told before the close may still arrive; the end has to."""


class TelemetryContract:
    """Fixtures: `telemetry`."""

    def test_decisions_of_every_kind_are_taken(self, telemetry: Telemetry) -> None:
        shadow = a_verdict(a_policy(mode=Mode.SHADOW))

        for action in Action:
            telemetry.decided(a_decision(action=action, verdicts=(a_verdict(action=action),)))
        telemetry.decided(a_decision(verdicts=(shadow,)))
        for code in FailureCode:
            telemetry.decided(a_decision(action=Action.REVIEW, failure=Failure(code, "why")))

    def test_the_encoder_s_events_are_taken(self, telemetry: Telemetry) -> None:
        for reason in ShedReason:
            telemetry.shed(reason)
        telemetry.queue_changed(3)
        telemetry.batch_encoded(8, 0.02)
        for lookup in Lookup:
            telemetry.embedding_looked_up(lookup)
        for loss in DecoderLoss:
            telemetry.decoder_lost(loss)
        telemetry.cache_changed(4096)
        telemetry.limit_changed(64)
        for outcome in ShadowOutcome:
            telemetry.encoder_shadowed(outcome)
        telemetry.encoder_stuck(31.5)

    def test_the_decision_log_s_events_are_taken(self, telemetry: Telemetry) -> None:
        telemetry.decisions_recorded(8, 9000)
        telemetry.recording_failed("No space left on device")
        telemetry.recording_failed("No space left on device")
        telemetry.decision_not_recorded("No space left on device")
        telemetry.decisions_recorded(1, 1100)

    def test_the_events_of_rpcs_and_traces_are_taken(self, telemetry: Telemetry) -> None:
        telemetry.rpc_finished("/Service/Call", "OK", 0.1)
        for loss in SpanLoss:
            telemetry.spans_lost(3, loss)
        telemetry.spans_sent(512)

    def test_the_policies_events_are_taken(self, telemetry: Telemetry) -> None:
        for origin in SetOrigin:
            telemetry.policies_loaded(
                version="0" * 64,
                policies=3,
                embedded=EmbeddedTexts(12, 1),
                seconds=0.1,
                origin=origin,
            )
        telemetry.activation_not_kept("No space left on device")
        telemetry.texts_not_kept("Read-only file system")
        telemetry.embeddings_not_kept("database or disk is full")
        telemetry.policies_unchanged(version="0" * 64)
        telemetry.binding_checked(BoundEncoder("a" * 64, "vit-b32", "encoder.lock"), suits=False)
        telemetry.binding_checked(None, suits=True)
        telemetry.policies_rejected((Problem("weapons.yaml", 14, 7, "unknown key"),))
        telemetry.policies_rejected((Problem("weapons.yaml", 0, 0, "is not readable"),))

"""Where pictures are decoded, as the settings say: in processes of their own, or on threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.images.worker import WorkerLimits
from moderation.adapters.images.workers import DecodeWorkers
from moderation.core.content import PixelSpec
from moderation.service.pools import ProcessUse
from moderation.service.ports import ImageDecoder, Telemetry
from moderation.settings import Settings

DecoderFor: TypeAlias = Callable[[PixelSpec], ImageDecoder]
"""Gives a decoder for an encoder's squares; waits until it works, or raises NotReady."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """Where pictures are decoded, while that runs."""

    decoder_for: DecoderFor
    use: Callable[[], ProcessUse] = ProcessUse
    """What processes of its own take."""


@contextmanager
def decoding(settings: Settings, telemetry: Telemetry, *, at_once: int) -> Iterator[Decoding]:
    """Decoders, of which so many may be at work at once, until the context ends."""
    limits = decode_limits(settings)
    if settings.decode.isolation == "thread":
        yield Decoding(partial(PillowDecoder, limits=limits))
        return
    of_a_process = WorkerLimits(settings.decode.timeout_s, settings.decode.max_memory_bytes)
    with DecodeWorkers(at_once, of_a_process, limits, telemetry) as workers:
        yield Decoding(workers.decoder, workers.use)


def decode_limits(settings: Settings) -> DecodeLimits:
    """The decoder's limits as the settings say."""
    decode = settings.decode
    return DecodeLimits(
        max_image_bytes=decode.max_image_bytes,
        max_pixels=decode.max_pixels,
        max_frames=decode.max_frames,
        max_frames_judged=decode.max_frames_judged,
        max_aspect_ratio=decode.max_aspect_ratio,
        min_side_px=decode.min_side_px,
        max_scans=decode.max_scans,
        max_animation_pixels=decode.max_animation_pixels,
    )

"""One image graph on every device that was named; each batch goes to a device that is free."""

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from moderation.adapters.encoders.devices import BATCHES_IN_FLIGHT, CPU, Tuning, parse_devices
from moderation.adapters.encoders.fitting import FittingBatches
from moderation.adapters.encoders.manifest import ImageGraph
from moderation.adapters.encoders.onnx_session import OnnxSession
from moderation.adapters.encoders.pinned import PinnedFrames, Register, register_with_cuda
from moderation.core.content import Embeddings, Pixels
from moderation.core.errors import BundleRejected

Slot = Callable[[Pixels], Embeddings]
"""Runs one batch; used by one thread at a time."""


class ImageSessions:
    """Sessions of one graph, with as many slots as batches may run at once."""

    def __init__(
        self,
        directory: Path,
        image: ImageGraph,
        *,
        devices: str,
        tuning: Tuning,
        register: Register = register_with_cuda,
    ) -> None:
        """Load the graph once for each device; raises BundleRejected."""
        try:
            wanted = parse_devices(devices)
        except ValueError as error:
            raise BundleRejected(f"encoder.device: {error}") from error
        frame = (image.input, image.size_px)
        self.sessions = tuple(
            OnnxSession(directory / image.file, device=one, tuning=tuning, frame=frame)
            for one in wanted
        )
        self._slots_by_session = [
            [
                _slot(session, image, tuning, register)
                for _ in range(tuning.batches_in_flight or BATCHES_IN_FLIGHT[session.provider])
            ]
            for session in self.sessions
        ]
        self._free: SimpleQueue[Slot] = SimpleQueue()
        # Device by device in turns, so that the first two batches go to two devices.
        for turn in range(max(map(len, self._slots_by_session))):
            for slots in self._slots_by_session:
                if turn < len(slots):
                    self._free.put(slots[turn])

    @property
    def batches_in_flight(self) -> int:
        """How many batches may run at once, over all devices."""
        return sum(map(len, self._slots_by_session))

    @property
    def device(self) -> str:
        """The execution provider that really runs, once for each device."""
        return ", ".join(session.provider for session in self.sessions)

    def run(self, pixels: Pixels) -> Embeddings:
        """Encode one batch on whichever device is free, or the next to be; raises Overloaded."""
        slot = self._free.get()
        try:
            return slot(pixels)
        finally:
            self._free.put(slot)

    def longest_run_s(self) -> float:
        """For how long the oldest batch on any device has been under way."""
        return max(session.longest_run_s() for session in self.sessions)

    def break_off(self, after_s: float) -> None:
        """Make every batch fail that has been under way for longer."""
        for session in self.sessions:
            session.break_off(after_s)

    def run_everywhere(self, pixels: Pixels) -> None:
        """Encode one batch on every device, for the first run is slow."""
        for slots in self._slots_by_session:
            slots[0](pixels)


def _slot(session: OnnxSession, image: ImageGraph, tuning: Tuning, register: Register) -> Slot:
    def encode(pixels: Pixels) -> Embeddings:
        return session.run(image.output, {image.input: hold(pixels)})

    hold = _as_it_is
    if session.provider != CPU:
        hold = PinnedFrames(tuning.largest_batch, image.size_px, register).hold
    return FittingBatches(encode).run


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels

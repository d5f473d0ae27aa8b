import numpy as np

from moderation.adapters.encoders.pinned import PinnedFrames, register_with_cuda


class Registrar:
    """Remembers what it was asked to page-lock."""

    def __init__(self, *, can: bool) -> None:
        self.can = can
        self.asked: list[tuple[int, int]] = []

    def __call__(self, address: int, n_bytes: int) -> bool:
        self.asked.append((address, n_bytes))
        return self.can


def frames(n: int, value: int) -> np.ndarray:
    return np.full((n, 4, 4, 3), value, dtype=np.uint8)


def test_a_batch_is_held_in_the_memory_that_was_registered() -> None:
    registrar = Registrar(can=True)
    pinned = PinnedFrames(8, 4, registrar)

    held = pinned.hold(frames(3, 7))

    ((address, n_bytes),) = registrar.asked
    assert np.array_equal(held, frames(3, 7))
    assert held.ctypes.data == address
    assert n_bytes == 8 * 4 * 4 * 3


def test_what_could_not_be_registered_is_not_copied() -> None:
    pinned = PinnedFrames(8, 4, Registrar(can=False))
    pixels = frames(3, 7)

    assert pinned.hold(pixels) is pixels


def test_a_larger_batch_than_expected_passes_as_it_is() -> None:
    pinned = PinnedFrames(2, 4, Registrar(can=True))
    pixels = frames(3, 7)

    assert pinned.hold(pixels) is pixels


def test_without_a_usable_cuda_runtime_nothing_is_pinned() -> None:
    buffer = np.zeros(16, dtype=np.uint8)

    # On a machine with a card the same call succeeds, and the buffer is page-locked.
    assert register_with_cuda(buffer.ctypes.data, buffer.nbytes) in (False, True)

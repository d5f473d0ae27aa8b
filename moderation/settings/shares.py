"""What one of several worker processes may take of what the settings allow the service."""

from collections.abc import Mapping
from typing import Any

from moderation.settings.reading import SettingsError
from moderation.settings.sections import Settings

SHADOWING = 0
"""The one worker with the second encoder: its pairs have one writer, and it is loaded once."""


def share_of(settings: Settings, worker: int, *, port: int, cores: int) -> Settings:
    """The settings of one worker, counted from 0, on the port that all of them share.

    Bounds on memory and on what is under way hold for all workers together, so each gets its
    part; so do cores and cards. Raises SettingsError if the cards cannot be dealt out evenly.
    """
    count = settings.server.workers
    limits, shadow = settings.limits, settings.shadow_encoder
    changes: dict[str, dict[str, Any]] = {
        "server": {"port": port},
        "encoder": {
            "device": _cards(settings.encoder.device, worker, count),
            "threads": settings.encoder.threads or max(1, cores // count),
        },
        "decode": {"threads": -(-settings.decode.threads // count)},
        "batching": {"max_queue_size": _part(settings.batching.max_queue_size, count)},
        "cache": {"max_bytes": _part(settings.cache.max_bytes, count)},
        "limits": {
            "max_in_flight": _part(limits.max_in_flight, count),
            "max_in_flight_bytes": _part(limits.max_in_flight_bytes, count),
            "max_memory_bytes": _part(limits.max_memory_bytes, count),
        },
        "fetch": {"max_in_flight": _part(settings.fetch.max_in_flight, count)},
        "recent": {"max_frames": _part(settings.recent.max_frames, count)},
        "decision_log": {"max_bytes": _part(settings.decision_log.max_bytes, count)},
        "shadow_encoder": {
            "bundle": shadow.bundle if worker == SHADOWING else "",
            # It sees only this worker's contents.
            "share": min(1.0, shadow.share * count),
        },
    }
    return _changed(settings, changes)


def _part(total: int, count: int) -> int:
    """One of so many equal parts; 0 says something else than a number, and is kept."""
    return max(1, total // count) if total else 0


def _cards(device: str, worker: int, count: int) -> str:
    cards = device.split(",")
    if len(cards) == 1:
        return device
    if len(cards) % count and count % len(cards):
        raise SettingsError(
            f"encoder.device: {len(cards)} cards cannot be dealt out to server.workers = {count} "
            "evenly; set as many workers as cards, or a multiple"
        )
    return cards[worker % len(cards)] if count >= len(cards) else ",".join(cards[worker::count])


def _changed(settings: Settings, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
    sections = {
        name: getattr(settings, name).model_copy(update=dict(values))
        for name, values in changes.items()
    }
    return settings.model_copy(update=sections)

"""What the operating system gives this process, beside what the settings let it take."""

import os
import resource
from collections.abc import Iterator

from moderation.adapters.cgroups import cpu_quota
from moderation.adapters.memory import PAGE_BYTES, MemoryGauge
from moderation.adapters.prometheus.endpoint import MAX_CONNECTIONS
from moderation.cli.examination.findings import Finding, doubtful, good
from moderation.core.errors import BundleRejected
from moderation.settings import Settings, bundle_store

OTHER_DESCRIPTORS = 64
"""Libraries, logs, policy files."""
DESCRIPTORS_PER_DECODER = 4
SERVICE_BYTES = 400 * 2**20
"""Beside its bundle: a server with the starter encoder took 434 MB after its first batches."""


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    yield descriptors(settings, *resource.getrlimit(resource.RLIMIT_NOFILE))
    gauge = MemoryGauge(max_bytes=settings.limits.max_memory_bytes)
    machine = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
    yield memory(settings, limit_bytes=gauge.limit_bytes or machine)
    yield from cores(settings, available=len(os.sched_getaffinity(0)), quota=cpu_quota())


def descriptors(settings: Settings, soft: int, hard: int) -> Finding:
    """A connection holds one; a server without any left accepts nobody."""
    decoders = DESCRIPTORS_PER_DECODER * settings.decode.threads
    others = OTHER_DESCRIPTORS + MAX_CONNECTIONS + decoders
    wanted = settings.server.max_connections + others
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return good(f"{soft} file descriptors suffice, {wanted} may be used", "RLIMIT_NOFILE")
    raised = "" if hard == resource.RLIM_INFINITY or hard >= wanted else ", its hard limit too"
    return doubtful(
        f"{soft} file descriptors, and server.max_connections alone may take {wanted}",
        "RLIMIT_NOFILE",
        f"raise the limit (LimitNOFILE={wanted} in systemd{raised}), or lower "
        f"server.max_connections to {max(1, soft - others)}",
    )


def memory(settings: Settings, *, limit_bytes: int) -> Finding:
    """What may be taken at worst, all limits reached at once."""
    by_part = _most_bytes(settings)
    wanted = sum(by_part.values())
    parts = ", ".join(f"{name} {_mb(n_bytes)}" for name, n_bytes in by_part.items())
    if wanted <= limit_bytes:
        return good(f"{_mb(wanted)} of {_mb(limit_bytes)} may be taken: {parts}", "memory")
    largest = max(by_part, key=lambda name: by_part[name])
    return doubtful(
        f"{_mb(limit_bytes)}, and at worst {_mb(wanted)} are taken: {parts}",
        "memory",
        f"give it more, or lower {largest}; above limits.max_memory_share requests are turned away",
    )


def cores(settings: Settings, *, available: int, quota: float | None) -> Iterator[Finding]:
    """Threads that no core is there for wait, and threads above a quota are stopped."""
    usable = available if quota is None else min(available, max(1, int(quota)))
    of_quota = "" if quota is None else f" (a cgroup allows {quota:g})"
    said = f"{usable} cores can be used{of_quota}"
    threads, workers = settings.encoder.threads, settings.server.workers
    if threads * workers > usable or (not threads and usable < available):
        taken = f"encoder.threads is {threads}" if threads else f"an inference takes {available}"
        among = f" in each of {workers} workers" if threads and workers > 1 else ""
        cure = f"set it to {max(1, usable // workers)}"
        yield doubtful(f"{said}, and {taken}{among}", "encoder.threads", cure)
    if settings.decode.threads > usable:
        what = f"{said}, and {settings.decode.threads} pictures are decoded at once"
        yield doubtful(what, "decode.threads", f"lower it to {usable}")
    yield good(said, "CPU")


def _most_bytes(settings: Settings) -> dict[str, int]:
    """By the setting that bounds it; of several workers, which share what is bounded."""
    workers = settings.server.workers
    decoders = max(settings.decode.threads, workers) + bool(settings.shadow_encoder.bundle)
    bundle_bytes, frame_bytes = _bundle(settings)
    return {
        "the service and encoder.bundle": workers * (SERVICE_BYTES + bundle_bytes),
        "decode.max_memory_bytes times decode.threads": settings.decode.max_memory_bytes * decoders,
        "cache.max_bytes": settings.cache.max_bytes,
        "limits.max_in_flight_bytes": settings.limits.max_in_flight_bytes,
        "batching.max_queue_size": 2 * settings.batching.max_queue_size * frame_bytes,
    }


def _bundle(settings: Settings) -> tuple[int, int]:
    """Bytes of its files, and of one frame that waits; nothing of one that is not there."""
    from moderation.adapters.encoders.registry import find_bundle, find_manifest

    try:
        name, device = settings.encoder.bundle, settings.encoder.device
        store = bundle_store(settings)
        directory = find_bundle(name, store=store, device=device)
        manifest = find_manifest(name, store=store, device=device)
        size = sum((directory / file).stat().st_size for file in manifest.files)
    except (BundleRejected, OSError):
        return 0, 0
    return size, 3 * manifest.image.size_px**2


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"

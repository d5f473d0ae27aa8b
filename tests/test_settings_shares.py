"""What one of several workers may take of what the settings allow the service."""

from pathlib import Path

import pytest

from moderation.settings import Settings, SettingsError, share_of
from moderation.settings.edge import LimitSettings, ServerSettings
from moderation.settings.judging import (
    BatchingSettings,
    CacheSettings,
    DecodeSettings,
    EncoderSettings,
    ShadowEncoderSettings,
)
from moderation.settings.keeping import DecisionLogSettings, RecentSettings

WORKERS = 4
CORES = 16


def shares(settings: Settings) -> list[Settings]:
    places = range(settings.server.workers)
    return [share_of(settings, worker, port=4711, cores=CORES) for worker in places]


def with_workers(count: int = WORKERS, **sections: object) -> Settings:
    server = ServerSettings(port=0, workers=count)
    return Settings(server=server, **sections)  # type: ignore[arg-type]  # sections by name


def test_bounds_hold_for_all_workers_together() -> None:
    settings = with_workers(
        batching=BatchingSettings(max_queue_size=256),
        cache=CacheSettings(max_bytes=64 * 2**20),
        limits=LimitSettings(
            max_in_flight=256, max_in_flight_bytes=2**28, max_memory_bytes=8 * 2**30
        ),
        recent=RecentSettings(max_frames=100_000),
        decision_log=DecisionLogSettings(max_bytes=10 * 2**30),
        decode=DecodeSettings(threads=8),
    )

    each = shares(settings)

    assert sum(one.batching.max_queue_size for one in each) == 256
    assert sum(one.cache.max_bytes for one in each) == 64 * 2**20
    assert sum(one.limits.max_in_flight for one in each) == 256
    assert sum(one.limits.max_in_flight_bytes for one in each) == 2**28
    assert sum(one.limits.max_memory_bytes for one in each) == 8 * 2**30
    assert sum(one.recent.max_frames for one in each) == 100_000
    assert sum(one.decision_log.max_bytes for one in each) == 10 * 2**30
    assert sum(one.decode.threads for one in each) == 8


def test_nothing_is_divided_away_and_no_limit_stays_none() -> None:
    settings = with_workers(
        batching=BatchingSettings(max_queue_size=1),
        cache=CacheSettings(max_bytes=0),
        limits=LimitSettings(max_in_flight=2, max_memory_bytes=0),
        decode=DecodeSettings(threads=1),
    )

    share = shares(settings)[-1]

    assert share.batching.max_queue_size == share.limits.max_in_flight == 1
    assert share.decode.threads == 1
    assert share.cache.max_bytes == share.limits.max_memory_bytes == 0


def test_every_worker_gets_the_port_and_its_part_of_the_cores() -> None:
    each = shares(with_workers())

    assert {one.server.port for one in each} == {4711}
    assert {one.encoder.threads for one in each} == {CORES // WORKERS}


def test_threads_that_are_set_are_those_of_each_worker() -> None:
    each = shares(with_workers(encoder=EncoderSettings(threads=3)))

    assert {one.encoder.threads for one in each} == {3}


def test_more_workers_than_cores_have_a_thread_each() -> None:
    assert share_of(with_workers(8), 0, port=1, cores=2).encoder.threads == 1


@pytest.mark.parametrize(
    ("device", "workers", "dealt"),
    [
        ("auto", 2, ["auto", "auto"]),
        ("cuda:1", 2, ["cuda:1", "cuda:1"]),
        ("cuda:0,cuda:1", 2, ["cuda:0", "cuda:1"]),
        ("cuda:0,cuda:1", 4, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("cuda:0,cuda:1,cuda:2,cuda:3", 2, ["cuda:0,cuda:2", "cuda:1,cuda:3"]),
    ],
)
def test_cards_are_dealt_out(device: str, workers: int, dealt: list[str]) -> None:
    each = shares(with_workers(workers, encoder=EncoderSettings(device=device)))

    assert [one.encoder.device for one in each] == dealt


def test_cards_that_cannot_be_dealt_out_evenly_are_refused() -> None:
    settings = with_workers(2, encoder=EncoderSettings(device="cuda:0,cuda:1,cuda:2"))

    with pytest.raises(SettingsError, match=r"encoder\.device: 3 cards .* server\.workers = 2"):
        share_of(settings, 0, port=1, cores=CORES)


def test_one_worker_shadows_for_all() -> None:
    shadow = ShadowEncoderSettings(bundle="siglip", share=0.05)

    each = shares(with_workers(shadow_encoder=shadow))

    assert [one.shadow_encoder.bundle for one in each] == ["siglip", "", "", ""]
    assert each[0].shadow_encoder.share == pytest.approx(0.2)


def test_a_large_share_of_one_worker_s_content_is_all_of_it() -> None:
    shadow = ShadowEncoderSettings(bundle="siglip", share=0.5)

    assert shares(with_workers(shadow_encoder=shadow))[0].shadow_encoder.share == 1.0


def test_what_is_not_shared_stays_as_it_is() -> None:
    settings = with_workers()

    share = shares(settings)[1]

    assert share.policies == settings.policies
    assert share.server.host == settings.server.host
    assert share.policies.directory == Path("policies")

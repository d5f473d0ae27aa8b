"""What is taken of pools, as Prometheus reads it."""

from moderation.adapters.prometheus import PrometheusTelemetry
from moderation.service.pools import PoolUse, ProcessUse


def test_every_pool_has_its_gauges_asked_for_at_each_scrape() -> None:
    telemetry = PrometheusTelemetry()
    before = telemetry.registry.get_sample_value("moderation_decoders")
    telemetry.pools.use = lambda: PoolUse(4, 3, 2, ProcessUse(1.5, 2**20), 5000, 6)

    seen = {
        sample.name: sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if not sample.labels
    }

    assert before == 0
    assert {
        "moderation_decoders": 4,
        "moderation_decoders_busy": 3,
        "moderation_decode_waiting": 2,
        "moderation_decoder_cpu_seconds_total": 1.5,
        "moderation_decoder_resident_memory_bytes": 2**20,
        "moderation_in_flight_bytes": 5000,
        "moderation_image_fetches_in_flight": 6,
    }.items() <= seen.items()

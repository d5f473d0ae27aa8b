from pathlib import Path

import pytest

from moderation.adapters.encoders.devices import (
    CPU,
    CUDA,
    PLANS,
    TENSORRT,
    Device,
    Tuning,
    parse_devices,
    providers_for,
)

EVERYTHING = (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("auto", (Device("auto"),)),
        ("cpu", (Device("cpu"),)),
        ("cuda", (Device("cuda", 0),)),
        ("cuda:3", (Device("cuda", 3),)),
        ("cuda:0,cuda:1", (Device("cuda", 0), Device("cuda", 1))),
        ("cuda:0, tensorrt:1", (Device("cuda", 0), Device("tensorrt", 1))),
    ],
)
def test_a_setting_names_one_device_or_several(text: str, devices: tuple[Device, ...]) -> None:
    assert parse_devices(text) == devices


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gpu", "unknown device 'gpu'"),
        ("", "unknown device ''"),
        ("cuda:x", "unknown device 'cuda:x'"),
        ("cpu:1", "only cuda and tensorrt have numbers"),
        ("cuda,cuda:0", "cuda:0 is named twice"),
        ("cuda:0,cpu", "auto and cpu stand alone"),
    ],
)
def test_what_is_no_device_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_devices(text)


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda:1", "tensorrt:0"])
def test_a_device_is_written_as_the_setting_writes_it(text: str) -> None:
    (device,) = parse_devices(text)

    assert str(device) == text


def test_every_plan_ends_at_the_cpu_and_demands_only_what_it_prefers() -> None:
    for plan in PLANS.values():
        assert plan.providers[-1] == CPU
        assert plan.demanded in (None, plan.providers[0])


def test_providers_that_are_not_installed_are_not_asked_for() -> None:
    providers = providers_for(Device("tensorrt"), Tuning(), (CUDA, CPU))

    assert [name for name, _ in providers] == [CUDA, CPU]


def test_cuda_is_told_its_card_and_its_limit() -> None:
    tuning = Tuning(gpu_memory_limit_bytes=2**30)

    (name, options), cpu = providers_for(Device("cuda", 1), tuning, EVERYTHING)

    assert name == CUDA
    assert options["device_id"] == "1"
    assert options["gpu_mem_limit"] == "1073741824"
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert cpu == (CPU, {})


def test_without_a_limit_cuda_is_told_none() -> None:
    (_, options), _ = providers_for(Device("cuda"), Tuning(), EVERYTHING)

    assert "gpu_mem_limit" not in options


def test_tensorrt_keeps_its_engines_and_builds_one_for_all_batch_sizes() -> None:
    tuning = Tuning(engine_cache=Path("/engines"), largest_batch=16)

    providers = providers_for(Device("tensorrt"), tuning, EVERYTHING, frame=("pixels", 224))

    name, options = providers[0]
    assert name == TENSORRT
    assert options["trt_engine_cache_path"] == "/engines"
    assert options["trt_profile_min_shapes"] == "pixels:1x224x224x3"
    assert options["trt_profile_max_shapes"] == "pixels:16x224x224x3"


def test_without_a_cache_or_a_frame_tensorrt_is_told_neither() -> None:
    (_, options), *_ = providers_for(Device("tensorrt"), Tuning(), EVERYTHING)

    assert not [name for name in options if "cache" in name or "profile" in name]

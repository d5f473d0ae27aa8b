from pathlib import Path

import pytest

from moderation.adapters.encoders.bundle_store import add_bundle
from moderation.adapters.encoders.registry import bundled_names, find_bundle
from moderation.core.errors import BundleRejected
from tests.bundles import clip_bundle


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Holds one model in three precisions."""
    store = tmp_path / "store"
    for precision in ("fp16", "fp32", "int8"):
        bundle = clip_bundle(tmp_path / precision, precision=precision)
        add_bundle(bundle, store, name=f"vit-{precision}")
    return store


def test_the_starter_comes_with_the_package() -> None:
    assert "starter" in bundled_names()
    assert find_bundle("starter").name == "starter"


def test_a_stored_bundle_is_found_by_its_name(store: Path) -> None:
    assert find_bundle("vit-fp32", store=store) == store / "vit-fp32"


@pytest.mark.parametrize(
    ("device", "chosen"),
    [
        ("auto", "vit-int8"),
        ("cpu", "vit-int8"),
        ("cuda", "vit-fp16"),
        ("tensorrt:1", "vit-fp16"),
        ("cuda:0,cuda:1", "vit-fp16"),
    ],
)
def test_a_name_without_a_precision_takes_the_one_that_suits_the_device(
    device: str, chosen: str, store: Path
) -> None:
    assert find_bundle("vit", store=store, device=device) == store / chosen


def test_what_comes_with_the_package_goes_before_the_store(store: Path, tmp_path: Path) -> None:
    add_bundle(clip_bundle(tmp_path / "impostor"), store, name="starter")

    assert find_bundle("starter", store=store).parent.name == "bundles"


def test_a_path_is_taken_where_no_name_fits(store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "by-path")

    assert find_bundle(str(bundle), store=store) == bundle


def test_an_unknown_name_tells_the_known_ones(store: Path) -> None:
    with pytest.raises(BundleRejected, match="known: starter, vit-fp16, vit-fp32, vit-int8"):
        find_bundle("clip", store=store)

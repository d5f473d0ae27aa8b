import tarfile
from pathlib import Path

import pytest

from moderation.adapters.encoders.bundle_store import (
    add_bundle,
    keep,
    place_for,
    remove_bundle,
    stored_names,
)
from moderation.adapters.encoders.manifest import Manifest
from moderation.core.errors import BundleRejected
from tests.bundles import clip_bundle, siglip_bundle


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "bundles"


def archive_of(directory: Path, archive: Path, *, inside: str = ".") -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory, arcname=inside)
    return archive


def test_a_store_that_does_not_exist_holds_nothing(store: Path) -> None:
    assert stored_names(store) == []


def test_a_directory_is_stored_under_its_own_name(store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "made")

    kept = add_bundle(bundle, store)

    assert kept == store / "tiny-clip"
    assert stored_names(store) == ["tiny-clip"]
    assert Manifest.load(kept) == Manifest.load(bundle)


def test_another_name_can_be_chosen(store: Path, tmp_path: Path) -> None:
    add_bundle(clip_bundle(tmp_path / "one"), store)
    add_bundle(siglip_bundle(tmp_path / "two"), store, name="other")

    assert stored_names(store) == ["other", "tiny-clip"]


@pytest.mark.parametrize("inside", [".", "tiny-clip-1.0"])
def test_an_archive_is_unpacked(inside: str, store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "made")
    archive = archive_of(bundle, tmp_path / "bundle.tar.gz", inside=inside)

    kept = add_bundle(archive, store)

    Manifest.load(kept).verify_files(kept)


def test_only_what_the_manifest_names_is_kept(store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "made")
    (bundle / "pytorch_model.bin").write_bytes(b"anything")

    kept = add_bundle(bundle, store)

    manifest = Manifest.load(kept)
    assert {one.name for one in kept.iterdir()} == {"manifest.json", *manifest.files}


def test_an_altered_file_is_refused_and_leaves_nothing(store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "made")
    graph = bytearray((bundle / "image.onnx").read_bytes())
    graph[100] ^= 1
    (bundle / "image.onnx").write_bytes(graph)

    with pytest.raises(BundleRejected, match="the file was altered or not copied whole"):
        add_bundle(bundle, store)

    assert list(store.iterdir()) == []


def test_a_taken_name_is_refused(store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "made")
    add_bundle(bundle, store)

    with pytest.raises(BundleRejected, match="there is a bundle of this name; choose another"):
        add_bundle(bundle, store)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "x" * 101])
def test_a_name_that_leads_elsewhere_is_refused(name: str, store: Path, tmp_path: Path) -> None:
    with place_for(store) as place, pytest.raises(BundleRejected, match="a bundle's name has"):
        keep(place, store, name)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("bundle.zip", b"", "an archive must end in .tar"),
        ("bundle.tar", b"no archive", "cannot be unpacked"),
        ("bundle.tar.gz", b"\x1f\x8b\x08\x00", "cannot be unpacked"),
    ],
)
def test_what_is_no_archive_is_refused(
    file: str, content: bytes, complaint: str, store: Path, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(content)

    with pytest.raises(BundleRejected, match=complaint):
        add_bundle(tmp_path / file, store)


def test_an_archive_that_reaches_out_of_itself_is_refused(store: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "made")
    archive = archive_of(bundle, tmp_path / "bundle.tar.gz", inside="../escaped")

    with pytest.raises(BundleRejected, match="cannot be unpacked"):
        add_bundle(archive, store)


def test_an_archive_without_a_bundle_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    archive = archive_of(tmp_path / "nothing", tmp_path / "bundle.tar.gz")

    with pytest.raises(BundleRejected, match="holds 0 bundles instead of one"):
        add_bundle(archive, store)


def test_a_removed_bundle_is_gone(store: Path, tmp_path: Path) -> None:
    add_bundle(clip_bundle(tmp_path / "made"), store)

    remove_bundle("tiny-clip", store)

    assert list(store.iterdir()) == []


def test_removing_what_is_not_there_tells_what_is(store: Path, tmp_path: Path) -> None:
    add_bundle(clip_bundle(tmp_path / "made"), store)

    with pytest.raises(BundleRejected, match="no bundle of this name; it has: tiny-clip"):
        remove_bundle("other", store)

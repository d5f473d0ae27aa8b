"""Policies from a package in a file: what becomes of them, and what is refused with its reason."""

from functools import partial
from pathlib import Path

import pytest

from moderation.adapters.policy_package import (
    FilePackage,
    PackagedPolicies,
    PackageIntake,
    PackageShelf,
    read_public_keys,
)
from moderation.adapters.policy_package.shelf import Shelved
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.errors import PolicySetRejected
from tests.policy_packages import Publisher, a_policy


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "published")
    made.write(no_cats=a_policy())
    return made


def a_source(
    publisher: Publisher, *keys: str, named: Path | None = None, min_serial: int = 0
) -> PackagedPolicies:
    """As a server that has just started would have it, with what an earlier one has left."""
    shelf = PackageShelf(publisher.home.parent / "state")
    paths = [publisher.public(name) for name in keys or ("ours",)]
    carrier = FilePackage(named or publisher.archive)
    read_keys = partial(read_public_keys, paths)
    intake = PackageIntake(carrier, keys=read_keys, shelf=shelf, min_serial=min_serial)
    return PackagedPolicies(intake, YamlPolicySource(shelf.policies))


def phrases(source: PackagedPolicies) -> list[str]:
    return [phrase.text for policy in source.load().policies for phrase in policy.phrases]


def refusal(source: PackagedPolicies) -> str:
    with pytest.raises(PolicySetRejected) as caught:
        source.load()
    return str(caught.value)


@pytest.mark.parametrize("folder", [True, False])
def test_policies_come_from_the_file_or_from_the_folder_that_it_is_in(
    publisher: Publisher, folder: bool
) -> None:
    publisher.publish()

    source = a_source(publisher, named=publisher.home if folder else None)

    assert phrases(source) == ["a cat"]


def test_the_next_package_takes_the_place_of_the_first(publisher: Publisher) -> None:
    source = a_source(publisher)
    publisher.publish()
    phrases(source)

    publisher.write(no_cats=a_policy(phrase="a tiger"))
    publisher.publish()

    assert phrases(source) == ["a tiger"]


def test_an_unchanged_package_is_not_read_again(publisher: Publisher) -> None:
    source = a_source(publisher)
    publisher.publish()

    assert source.load() is source.load()


def test_mistakes_in_its_files_are_told_by_their_place(publisher: Publisher) -> None:
    publisher.write(no_cats=a_policy() + "tresholds: 1\n")
    publisher.publish()

    assert "policies/no-cats.yaml:5:1: unknown key 'tresholds'" in refusal(a_source(publisher))


def test_an_archive_without_a_signature_is_refused(publisher: Publisher) -> None:
    publisher.publish()
    publisher.signature.unlink()

    told = refusal(a_source(publisher))

    assert told.startswith("policies.tar.gz: is not signed: there is no policies.tar.gz.sig")


def test_no_archive_at_all_is_told(publisher: Publisher) -> None:
    assert "there is no such file in" in refusal(a_source(publisher))


def test_a_signature_without_an_archive_is_refused(publisher: Publisher) -> None:
    publisher.publish()
    publisher.archive.unlink()

    assert "policies.tar.gz: cannot be read: No such file" in refusal(a_source(publisher))


def test_a_signature_that_cannot_be_read_is_told(publisher: Publisher) -> None:
    publisher.publish()
    publisher.signature.unlink()
    publisher.signature.mkdir()

    assert "policies.tar.gz.sig: cannot be read: Is a directory" in refusal(a_source(publisher))


@pytest.mark.parametrize("at", [0, 10, -1])
def test_an_archive_of_which_one_bit_differs_is_refused(publisher: Publisher, at: int) -> None:
    publisher.publish()
    altered = bytearray(publisher.archive.read_bytes())
    altered[at] ^= 1
    publisher.archive.write_bytes(altered)

    assert "policies.tar.gz: is not what was signed" in refusal(a_source(publisher))


def test_a_longer_archive_is_refused(publisher: Publisher) -> None:
    publisher.publish()
    publisher.archive.write_bytes(publisher.archive.read_bytes() + b"x" * 100)

    assert "is not what was signed" in refusal(a_source(publisher))


def test_a_signed_file_that_is_no_archive_is_refused(publisher: Publisher) -> None:
    publisher.serial = 1
    publisher.put(b"whatever")

    assert "policies.tar.gz: is no gzip file" in refusal(a_source(publisher))


def test_a_strangers_package_is_refused(publisher: Publisher) -> None:
    publisher.make_key("theirs")
    publisher.publish(keys=("theirs",))

    assert "policies.tar.gz.sig: is signed by key" in refusal(a_source(publisher))


def test_keys_are_rotated_while_it_runs(publisher: Publisher) -> None:
    """Servers learn of the new key, packages are signed with it, and the old one is taken away."""
    publisher.make_key("next")
    source = a_source(publisher)
    publisher.publish()
    phrases(source)

    trusted, new = publisher.public(), publisher.public("next").read_bytes()
    trusted.write_bytes(trusted.read_bytes() + new)
    publisher.write(no_cats=a_policy(phrase="a tiger"))
    publisher.publish(keys=("next",))
    assert phrases(source) == ["a tiger"]

    trusted.write_bytes(new)
    assert phrases(source) == ["a tiger"]

    publisher.publish(keys=("ours",))
    assert "is signed by key" in refusal(source)


def test_a_package_counts_no_longer_when_its_key_is_taken_away(publisher: Publisher) -> None:
    publisher.make_key("next")
    source = a_source(publisher)
    publisher.publish()
    phrases(source)

    publisher.public().write_bytes(publisher.public("next").read_bytes())

    assert "is signed by key" in refusal(source)


@pytest.mark.parametrize("restarted", [False, True])
def test_an_older_package_does_not_come_back(publisher: Publisher, restarted: bool) -> None:
    source = a_source(publisher)
    publisher.publish(serial=1)
    old = publisher.archive.read_bytes(), publisher.signature.read_bytes()
    publisher.write(no_cats=a_policy(phrase="a tiger"))
    publisher.publish(serial=5)
    phrases(source)

    publisher.archive.write_bytes(old[0])
    publisher.signature.write_bytes(old[1])

    told = refusal(a_source(publisher) if restarted else source)
    assert "is older than the package that was here before: its serial is 1, after 5" in told
    assert "moderation policy rollback" in told


def test_a_server_without_a_memory_may_be_told_what_is_too_old(publisher: Publisher) -> None:
    publisher.publish(serial=5)

    assert phrases(a_source(publisher, min_serial=5)) == ["a cat"]
    told = refusal(a_source(publisher, min_serial=6))
    assert told == ("policies.tar.gz: its serial is 5, below package.min_serial, 6; pack it anew")


def test_two_packages_of_one_serial_are_not_mixed_up(publisher: Publisher) -> None:
    source = a_source(publisher)
    publisher.publish(serial=5)
    phrases(source)

    publisher.write(no_cats=a_policy(phrase="a tiger"))
    publisher.publish(serial=5)

    assert "is another one than the package that was here before" in refusal(source)


def test_the_same_files_packed_again_are_a_package_like_any_other(publisher: Publisher) -> None:
    source = a_source(publisher)
    for _ in range(2):
        publisher.publish()
        assert phrases(source) == ["a cat"]

    newest = PackageShelf(publisher.home.parent / "state").newest()
    assert isinstance(newest, Shelved)
    assert newest.serial == 2


def test_a_package_that_cannot_be_unpacked_is_refused(publisher: Publisher) -> None:
    publisher.publish()
    (publisher.home.parent / "state").write_text("in its way")

    told = refusal(a_source(publisher))

    assert "cannot be unpacked below policies.state_directory: File exists" in told


def test_what_was_deleted_from_the_disk_is_unpacked_again(publisher: Publisher) -> None:
    source = a_source(publisher)
    publisher.publish()
    phrases(source)
    (publisher.home.parent / "state" / "current").unlink()

    phrases(source)

    assert phrases(a_source(publisher)) == ["a cat"]

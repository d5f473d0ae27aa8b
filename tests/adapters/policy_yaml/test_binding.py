from pathlib import Path

import pytest

from moderation.adapters.policy_yaml import YamlPolicySource, remove_binding, write_binding
from moderation.core.errors import PolicySetRejected

POLICY = """\
id: weapons
title: Weapons
phrases: [a gun]
thresholds: {review: 0.5, block: 0.8}
"""
ENCODER_ID = "0123456789abcdef" * 4


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "weapons.yaml").write_text(POLICY)
    return directory


def test_a_directory_without_the_file_is_bound_to_no_encoder(directory: Path) -> None:
    assert YamlPolicySource(directory).load().encoder is None


def test_what_was_bound_is_read_with_the_policies(directory: Path) -> None:
    write_binding(directory, encoder_id=ENCODER_ID, name="vit-b32")

    bound = YamlPolicySource(directory).load().encoder

    assert bound is not None
    assert (bound.encoder_id, bound.name) == (ENCODER_ID, "vit-b32")
    assert bound.file == "policies/encoder.lock"


def test_binding_again_replaces_the_file_and_leaves_no_other(directory: Path) -> None:
    write_binding(directory, encoder_id=ENCODER_ID, name="vit-b32")
    write_binding(directory, encoder_id="f" * 64, name="vit-l14")

    bound = YamlPolicySource(directory).load().encoder

    assert bound is not None
    assert bound.name == "vit-l14"
    assert sorted(one.name for one in directory.iterdir()) == ["encoder.lock", "weapons.yaml"]


def test_an_unbound_directory_is_as_before(directory: Path) -> None:
    unbound = YamlPolicySource(directory).load()
    write_binding(directory, encoder_id=ENCODER_ID, name="vit-b32")

    assert remove_binding(directory)
    assert not remove_binding(directory)
    assert YamlPolicySource(directory).load() == unbound


@pytest.mark.parametrize("text", ["", "vit-b32", '{"encoder_id": "short", "name": "x"}', "[1]"])
def test_a_file_that_nobody_understands_is_refused(text: str, directory: Path) -> None:
    (directory / "encoder.lock").write_text(text)

    with pytest.raises(PolicySetRejected, match=r"policies/encoder\.lock: is not what"):
        YamlPolicySource(directory).load()


def test_a_file_that_leads_out_of_the_directory_is_refused(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (directory / "encoder.lock").symlink_to(tmp_path / "secret")

    with pytest.raises(PolicySetRejected, match=r"policies/encoder\.lock: ") as caught:
        YamlPolicySource(directory).load()

    assert "not what" not in str(caught.value)

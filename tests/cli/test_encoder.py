"""Comparing and binding with real bundles, real pictures and the real command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from moderation.adapters.encoder_pairs import PairStore
from moderation.adapters.policy_yaml import YamlPolicySource, write_binding
from moderation.cli.encoder import bind, compare
from moderation.cli.exits import CommandError, Exit
from moderation.core.comparison import Pair, Pairing
from tests.bundles import clip_bundle, siglip_bundle
from tests.picture_builders import blotches

POLICY = """\
id: {id}
title: A policy
phrases: ["a {id}"]
contrast: ["something else"]
thresholds: {{review: 0.5, block: 0.8}}
"""
PROFILES = """\
profiles:
  default: {policies: all}
  kids: {policies: all, thresholds: {weapons: {review: 0.3, block: 0.6}}}
"""
PICTURES = 200


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    for name in ("weapons", "drugs"):
        (directory / f"{name}.yaml").write_text(POLICY.format(id=name))
    (directory / "profiles.yaml").write_text(PROFILES)
    return directory


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    directory = tmp_path / "pictures"
    directory.mkdir()
    for number in range(PICTURES):
        (directory / f"{number:03}.jpg").write_bytes(blotches(number))
    (directory / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(directory / "000.jpg", directory / "copy.jpg")
    return directory


def reported(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_refitted_thresholds_keep_the_flag_rate_of_a_folder(
    policies: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = clip_bundle(tmp_path / "old"), siglip_bundle(tmp_path / "new")

    compare(pictures=pictures, encoder=str(old), other=str(new), policies=policies, as_json=True)

    report = reported(capsys)
    assert report["contents"] == PICTURES
    assert report["notes"] == ["left out 2 files that are the same or cannot be judged"]
    rows = {(one["policy"], one["profile"]): one for one in report["policies"]}
    assert rows.keys() == {("weapons", ""), ("drugs", ""), ("weapons", "kids")}
    for row in rows.values():
        for cut in (row["review"], row["block"]):
            assert abs(cut["new_rate"]["share"] - cut["old_rate"]["share"]) <= 0.01


def test_the_thresholds_can_be_pasted(
    policies: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = clip_bundle(tmp_path / "old"), siglip_bundle(tmp_path / "new")
    compare(pictures=pictures, encoder=str(old), other=str(new), policies=policies, as_json=True)
    report = reported(capsys)
    line = next(one for one in report["yaml"].splitlines() if one.startswith("thresholds:"))

    edited = (
        (policies / "drugs.yaml").read_text().replace("thresholds: {review: 0.5, block: 0.8}", line)
    )
    (policies / "drugs.yaml").write_text(edited)

    loaded = YamlPolicySource(policies).load()
    wanted = next(one for one in report["policies"] if one["policy"] == "drugs")
    (pasted,) = (one.thresholds for one in loaded.policies if one.id == "drugs")
    assert pasted.review == wanted["review"]["new"]


def record(directory: Path, pairing: Pairing, *scores: tuple[float, float]) -> None:
    store = PairStore(directory, max_pairs=1000)
    for number, both in enumerate(scores):
        store.record(Pair(f"{number:04x}", {"weapons": both}, pairing))


def test_recorded_pairs_of_the_newest_encoders_are_reported(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = YamlPolicySource(policies).load().version
    record(tmp_path / "pairs", Pairing("a", "b", version), (0.9, 0.9))
    record(tmp_path / "pairs", Pairing("a", "c", version), (0.9, 0.2), (0.1, 0.1))

    compare(tmp_path / "pairs", policies=policies)

    shown = capsys.readouterr().out
    assert "2 contents, from a to c" in shown
    assert "left out 1 pairs of other encoders or policies" in shown
    assert "block to allow 1" in shown
    assert "50.0% (9.5%-90.5%)" in shown
    assert "      weapons: {review: 0.150000, block: 0.150000}" in shown


def test_pairs_of_policies_that_were_edited_since_are_marked(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "pairs", Pairing("a", "b", "an older version"), (0.1, 0.1))

    compare(tmp_path / "pairs", policies=policies)

    shown = capsys.readouterr().out
    assert "the policies were edited since" in shown
    assert "a cut that flagged none or all: only a bound" in shown


def test_a_rate_that_cannot_be_kept_is_remarked(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "pairs", Pairing("a", "b", "1"), (0.9, 0.7), (0.1, 0.7))

    compare(tmp_path / "pairs", policies=policies)

    assert "the rate moves by more than 1 point" in capsys.readouterr().out


def test_without_pairs_there_is_nothing_to_compare(policies: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--shadow-encoder") as caught:
        compare(tmp_path / "nothing", policies=policies)

    assert caught.value.exit_code == Exit.NO_INPUT


def test_policies_that_cannot_be_used_are_told(policies: Path, tmp_path: Path) -> None:
    record(tmp_path / "pairs", Pairing("a", "b", "1"), (0.9, 0.7))
    (policies / "weapons.yaml").write_text("id: weapons\n")

    with pytest.raises(CommandError, match=r"weapons\.yaml") as caught:
        compare(tmp_path / "pairs", policies=policies)

    assert caught.value.exit_code == Exit.CONFIG


def test_pictures_need_the_new_encoder(policies: Path, pictures: Path) -> None:
    with pytest.raises(CommandError, match="name it with --with"):
        compare(pictures=pictures, policies=policies)


def test_pictures_of_which_none_can_be_judged_are_told(policies: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    old, new = clip_bundle(tmp_path / "old"), siglip_bundle(tmp_path / "new")

    with pytest.raises(CommandError, match="none of its pictures can be judged"):
        compare(
            pictures=tmp_path / "broken.jpg", encoder=str(old), other=str(new), policies=policies
        )


def test_binding_names_the_encoder_and_releasing_forgets_it(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = clip_bundle(tmp_path / "bundle")

    bind(encoder=str(bundle), policies=policies)
    bound = YamlPolicySource(policies).load().encoder
    bind(policies=policies, release=True)
    bind(policies=policies, release=True)

    assert bound is not None
    assert bound.name == "tiny-clip"
    assert YamlPolicySource(policies).load().encoder is None
    shown = capsys.readouterr().out
    assert f"bound to tiny-clip ({bound.encoder_id[:12]})" in shown
    assert "bound to no encoder now" in shown
    assert "was not bound" in shown


def test_policies_that_are_not_there_cannot_be_bound(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        bind(policies=tmp_path / "nowhere")


def test_a_comparison_is_made_whatever_the_policies_are_bound_to(
    policies: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = clip_bundle(tmp_path / "old"), siglip_bundle(tmp_path / "new")
    write_binding(policies, encoder_id="a" * 64, name="another")

    compare(
        pictures=pictures / "000.jpg",
        encoder=str(old),
        other=str(new),
        policies=policies,
        as_json=True,
    )

    assert reported(capsys)["contents"] == 1

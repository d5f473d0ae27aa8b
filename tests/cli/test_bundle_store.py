import json
from pathlib import Path

import pytest

from moderation.cli.bundle_store import list_bundles, pull, remove
from moderation.cli.exits import CommandError
from moderation.core.errors import BundleRejected
from tests.bundles import clip_bundle
from tests.cli.command import moderation


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file that names a store of the test's own."""
    path = tmp_path / "settings.toml"
    path.write_text(f"[encoder]\nstore = {json.dumps(str(tmp_path / 'store'))}\n")
    return path


def listed(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    list_bundles(as_json=True, config=config)
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {line["name"]: line for line in lines}


def test_a_pulled_bundle_is_listed_and_a_removed_one_is_not(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = clip_bundle(tmp_path / "made")

    pull(str(bundle), config=config)
    stored = listed(config, capsys)
    remove("tiny-clip", config)
    left = listed(config, capsys)

    assert stored["tiny-clip"]["family"] == "clip"
    assert stored["tiny-clip"]["problem"] == ""
    assert stored["starter"]["place"] == "with the package"
    assert set(left) == {"starter"}


def test_a_bundle_that_would_not_load_is_listed_with_the_reason(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(str(clip_bundle(tmp_path / "made")), config=config)
    (tmp_path / "store" / "tiny-clip" / "manifest.json").write_text("{}")

    stored = listed(config, capsys)

    assert "Field required" in str(stored["tiny-clip"]["problem"])


def test_the_table_shows_sizes_and_short_ids(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list_bundles(config=config)

    shown = capsys.readouterr().out
    assert "starter" in shown
    assert "MB" in shown


def test_what_cannot_be_exported_leaves_nothing_in_the_store(config: Path, tmp_path: Path) -> None:
    (tmp_path / "no-model").mkdir()

    with pytest.raises(CommandError):
        pull(str(tmp_path / "no-model"), config=config)

    assert list((tmp_path / "store").iterdir()) == []


def test_a_name_in_the_store_that_is_not_there_is_refused(config: Path) -> None:
    with pytest.raises(BundleRejected, match="it has: none"):
        remove("tiny-clip", config)


async def test_a_stored_bundle_is_found_by_the_other_commands(tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    bundle = clip_bundle(tmp_path / "made")

    pulled = await moderation("bundle", "pull", bundle, "--name", "mine", env=env)
    shown = await moderation("bundle", "info", "mine", "--json", env=env)

    assert pulled.exit_code == 0, pulled.err
    assert (tmp_path / "cache" / "moderation" / "bundles" / "mine").is_dir()
    assert json.loads(shown.out)["name"] == "tiny-clip"

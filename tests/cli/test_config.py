import tomllib
from pathlib import Path

import pytest

from moderation.cli.config import config
from moderation.settings import load_settings, setting_names, variable_of


def test_every_setting_is_listed_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    code = config()

    shown = capsys.readouterr().out
    assert code == 0
    assert all(name in shown and variable_of(name) in shown for name in setting_names())


def test_the_toml_form_means_what_it_was_made_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    original = tmp_path / "original.toml"
    original.write_text('[policies]\ndirectory = "with \\"quotes\\" and \\\\"\n')

    config(original, as_toml=True)

    written = capsys.readouterr().out
    copy = tmp_path / "copy.toml"
    copy.write_text(written)
    assert set(tomllib.loads(written)) == {name.split(".")[0] for name in setting_names()}
    assert load_settings({}, copy).model_dump() == load_settings({}, original).model_dump()

import tomllib
from pathlib import Path

import pytest

from moderation.cli.config import config
from moderation.settings import load_settings, setting_names, shown_url, variable_of


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


@pytest.mark.case(93)
@pytest.mark.parametrize("form", [{}, {"as_toml": True}, {"as_markdown": True}])
def test_what_is_secret_in_a_url_is_not_shown(
    form: dict[str, bool],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    file = tmp_path / "settings.toml"
    file.write_text(
        '[package]\nsource = "https://host/p.tar.gz?X-Amz-Signature=hush"\n'
        '[fetch]\ns3_endpoint = "https://me:hush@{bucket}.minio:9000"\n'
    )

    config(file, **form)

    shown = capsys.readouterr().out
    assert "https://host/p.tar.gz" in shown
    assert "https://{bucket}.minio:9000" in shown
    assert "hush" not in shown
    assert "me:" not in shown.replace("name:", "")


def test_what_cannot_be_split_as_a_url_is_not_shown_either() -> None:
    assert shown_url("https://[me:hush@host") == "(no URL)"

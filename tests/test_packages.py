"""From settings to the package that policies come from: mistakes are told by the setting's name."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from moderation.adapters.policy_state import state_of
from moderation.packages import (
    named_policies,
    policy_package,
    state_directory,
    unpacked_settings,
)
from moderation.settings import Settings, SettingsError
from moderation.settings.judging import PolicySettings
from moderation.settings.package import PackageSettings

URL = "https://us.example/area/policies.tar.gz"


def settings(**package: str) -> Settings:
    return Settings(package=PackageSettings(**package))


def nobody(*, serial: int, sha256: str, key: str) -> None:
    """Nothing is taken in these tests."""


async def test_without_a_package_nothing_is_changed(tmp_path: Path) -> None:
    policies = PolicySettings(directory=tmp_path)
    plain = Settings(policies=policies)
    async with AsyncExitStack() as stack:
        assert unpacked_settings(plain, policy_package(plain, stack, nobody)) is plain

    assert named_policies(plain) == str(tmp_path)


@pytest.mark.parametrize(
    ("package", "told"),
    [
        ({"source": URL, "ca_file": "/nonesuch"}, "package.ca_file /nonesuch: "),
        ({"source": "https://us.example:x/p"}, "package.source: is no URL"),
    ],
)
async def test_a_wrong_setting_is_named(package: dict[str, str], told: str) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=told):
            policy_package(settings(**package), stack, nobody)


async def test_the_usual_authorities_are_trusted_unless_others_are_named() -> None:
    chosen = settings(source=URL, token_file="token")
    async with AsyncExitStack() as stack:
        package = policy_package(chosen, stack, nobody)

        directory = unpacked_settings(chosen, package).policies.directory

    assert directory == (state_directory(chosen) / "packages/current/policies").absolute()


def test_a_url_is_named_without_what_may_be_secret() -> None:
    assert named_policies(settings(source=f"{URL}?signature=secret")) == URL


def test_each_source_has_a_memory_of_its_own(tmp_path: Path) -> None:
    sources = [URL, f"{URL}2", str(tmp_path / "policies.tar.gz"), ""]
    found = [state_directory(settings(source=one)) for one in sources]

    assert len(set(found)) == len(found)
    assert found[0].name.startswith("policies.tar.gz-")
    assert found[3] == state_of(Path("var/policies"), Path("policies"))

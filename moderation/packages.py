"""From settings to policies that come as a signed package, and to where it is remembered."""

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.authorities import trusting
from moderation.adapters.policy_state import state_of
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.service.ports import ChangeFeed, PolicySource
from moderation.settings import Settings, SettingsError

if TYPE_CHECKING:
    from moderation.adapters.policy_package import Carrier, PackageIntake

FOLDER = "packages"
"""Below the directory where activated policy sets are kept."""


@dataclass(frozen=True, slots=True)
class PolicyPackage:
    """A signed package that policies come from."""

    directory: Path
    """Where its files are, whichever package is the current one."""
    around: Callable[[PolicySource], PolicySource]
    """What sees to the package before that directory is read."""
    feed: ChangeFeed


def state_directory(settings: Settings) -> Path:
    """Where the activations of what the server goes by are kept."""
    package, root = settings.package, settings.policies.state_directory
    if package.is_remote:
        return state_of(root, package.source)
    return state_of(root, Path(package.source) if package.source else settings.policies.directory)


def named_policies(settings: Settings) -> str:
    """Where policies come from, for people; without what may be secret in a URL."""
    package = settings.package
    if package.is_remote:
        return package.shown_source
    return str(Path(package.source or settings.policies.directory).absolute())


def policy_package(
    settings: Settings, stack: AsyncExitStack, taken: Callable[..., None]
) -> PolicyPackage | None:
    """The package that the settings name, if any; raises SettingsError or ImportError.

    `taken` is told of each that was verified and unpacked, by its `serial`, its `sha256` and the
    `key` that has signed it; from a worker thread.
    """
    chosen = settings.package
    if not chosen.source:
        return None
    from moderation.adapters.policy_package import (  # noqa: PLC0415 - an extra
        PackagedPolicies,
        PackageIntake,
        PackageShelf,
        read_public_keys,
    )

    carrier = package_carrier(settings, stack)
    shelf = PackageShelf(state_directory(settings) / FOLDER)
    intake = PackageIntake(
        carrier,
        keys=partial(read_public_keys, chosen.key_files),
        shelf=shelf,
        min_serial=chosen.min_serial,
        taken=taken,
    )
    feed = _polling(settings, intake) if chosen.is_remote else _watcher(settings)
    return PolicyPackage(shelf.policies, partial(PackagedPolicies, intake), feed)


def unpacked_settings(settings: Settings, package: PolicyPackage | None) -> Settings:
    """The settings of who goes by the package's files, if there is a package."""
    if package is None:
        return settings
    policies = settings.policies.model_copy(update={"directory": package.directory})
    return settings.model_copy(update={"policies": policies})


def package_carrier(settings: Settings, stack: ExitStack | AsyncExitStack) -> "Carrier":
    """What brings the package here that the settings name; raises SettingsError or ImportError."""
    from moderation.adapters.policy_package import (  # noqa: PLC0415 - an extra
        FilePackage,
        WebPackage,
    )

    chosen = settings.package
    if not chosen.is_remote:
        return FilePackage(Path(chosen.source))
    try:
        web = WebPackage(
            chosen.source,
            trusted=_trusted(chosen.ca_file),
            timeout_s=chosen.timeout_s,
            token_file=Path(chosen.token_file) if chosen.token_file else None,
        )
    except ValueError as error:
        raise SettingsError(f"package.source: is no URL: {error}") from error
    stack.callback(web.close)
    return web


def _trusted(ca_file: str) -> ssl.SSLContext:
    try:
        return trusting(ca_file)
    except OSError as error:
        raise SettingsError(f"package.ca_file {ca_file}: {error}") from error


def _watcher(settings: Settings) -> ChangeFeed:
    from moderation.adapters.policy_package import FilePackage  # noqa: PLC0415 - an extra

    package = FilePackage(Path(settings.package.source))
    names = tuple(path.name.lower() for path in package.paths)
    recheck_s = settings.policies.recheck_s
    return PolicyWatcher(package.path.parent, recheck_s=recheck_s, suffixes=names)


def _polling(settings: Settings, intake: "PackageIntake") -> ChangeFeed:
    from moderation.adapters.policy_package import Polling  # noqa: PLC0415 - an extra

    return Polling(
        every_s=settings.package.poll_s,
        failures=lambda: intake.failures,
        look_again=intake.look_again,
    )

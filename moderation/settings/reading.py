"""Reading settings: the only reader of the environment and the config file.

A value comes from, in this order: a flag of the command line, an environment
variable (`MODERATION_SERVER__PORT`), the file named by `--config` or
`MODERATION_CONFIG` (TOML or YAML), the default.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from moderation.settings.sections import DELIMITER, PREFIX, Settings

CONFIG_VARIABLE = "MODERATION_CONFIG"
API_KEY_VARIABLE = "MODERATION_API_KEY"
"""For commands that ask a server; no setting, so that no list of settings shows it."""

SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
"""What Kubernetes puts into every pod beside a service whose name starts with `moderation`."""


class SettingsError(ValueError):
    """A setting is wrong; the message names it and where it came from."""


def load_settings(flags: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Settings from flags (a nested mapping), environment and file; raises SettingsError."""
    path = config or _config_from_environment()
    _refuse_unknown_variables(os.environ)
    in_file = {} if path is None else _read(path)

    class SettingsWithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, in_file)

    try:
        return SettingsWithFile(**flags)
    except ValidationError as error:
        lines = [_explain(one, flags, path) for one in error.errors()]
        raise SettingsError("\n".join(lines)) from error


def setting_names() -> Iterator[str]:
    """Every setting as `section.name`."""
    for section, field in Settings.model_fields.items():
        for name in field.default.__class__.model_fields:
            yield f"{section}.{name}"


def variable_of(setting: str) -> str:
    """The environment variable of a setting: `server.port` -> `MODERATION_SERVER__PORT`."""
    return PREFIX + setting.replace(".", DELIMITER).upper()


def api_key_from_environment() -> str:
    """The API key for commands that ask a server; empty if there is none."""
    return os.environ.get(API_KEY_VARIABLE, "")


def _config_from_environment() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {variable_of(setting) for setting in setting_names()} | {
        CONFIG_VARIABLE,
        API_KEY_VARIABLE,
    }
    unknown = [
        f"{variable}: there is no such setting{_nearest(variable.upper(), known)}"
        for variable, value in sorted(environment.items())
        if variable.upper().startswith(PREFIX)
        and variable.upper() not in known
        and not _is_service_link(variable.upper(), value)
    ]
    if unknown:
        raise SettingsError("\n".join(unknown))


def _is_service_link(name: str, value: str) -> bool:
    is_address = name.endswith("_PORT") and "://" in value
    return is_address or SERVICE_LINK.fullmatch(name) is not None


def _load_yaml(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


READERS: Mapping[str, Callable[[str], object]] = {
    ".toml": tomllib.loads,
    ".yaml": _load_yaml,
    ".yml": _load_yaml,
}


def _read(path: Path) -> dict[str, Any]:
    read = READERS.get(path.suffix)
    if read is None:
        raise SettingsError(f"{path}: a config file must end in {', '.join(READERS)}")
    try:
        values = read(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        origin = f"(from --config or {CONFIG_VARIABLE})"
        raise SettingsError(f"{path}: there is no such file {origin}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SettingsError(f"{place}: is not valid YAML: {error.problem}") from error
    except (OSError, ValueError, YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise SettingsError(f"{path}: must hold sections such as `server`, not a {kind}")
    return values


def _explain(error: ErrorDetails, flags: Mapping[str, Any], path: Path | None) -> str:
    setting = ".".join(str(part) for part in error["loc"])
    place = _place(setting, flags, path)
    if error["type"] == "extra_forbidden":
        known = {*setting_names(), *Settings.model_fields}
        return f"{setting}: there is no such setting{_nearest(setting, known)} ({place})"
    return f"{setting}: {error['msg']}, got {error['input']!r} ({place})"


def _place(setting: str, flags: Mapping[str, Any], path: Path | None) -> str:
    """Where a value came from, asked in the order of precedence."""
    section, _, name = setting.partition(".")
    if section in flags and (not name or name in flags[section]):
        return "from a flag"
    variables = {variable.upper(): variable for variable in os.environ}
    if variable := variables.get(variable_of(setting)):
        return f"from {variable}"
    return f"from {path}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""

"""`moderation config`: every setting with its value and its environment variable."""

import json
from typing import Annotated

import typer
from rich.table import Table

from moderation.cli.flags import Config
from moderation.cli.output import say, say_table
from moderation.settings import Settings, load_settings, setting_names, shown_url, variable_of

PAGE = """\
# Settings

A value comes from, in this order: a flag of the command line, an environment variable, the file
named by `--config` or `MODERATION_CONFIG` (TOML or YAML), the default. A wrong value or an unknown
name ends the start with a message that says which setting it was and where it came from.

`moderation config` shows the values in force, `moderation config --toml` a file to start from. Of
a URL both leave out user, password and query, in which secrets may be.
"""


def config(
    config: Config = None,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="As a settings file to start from.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As docs/settings.md.")] = False,
) -> int:
    """Show every setting: name, value, environment variable and meaning."""
    settings = load_settings({}, config)
    if as_toml:
        say(_toml(settings))
        return 0
    if as_markdown:
        say(markdown(settings))
        return 0
    table = Table("setting", "value", "environment variable", "meaning", box=None)
    for name in setting_names():
        table.add_row(name, str(value_of(settings, name)), variable_of(name), meaning_of(name))
    say_table(table)
    return 0


def markdown(settings: Settings) -> str:
    """The settings as a page, with a table that has a row for each."""
    rows = [PAGE, "| setting | default | environment variable | meaning |", "|---|---|---|---|"]
    for name in setting_names():
        value = f"`{value_of(settings, name)}`"
        rows.append(f"| `{name}` | {value} | `{variable_of(name)}` | {meaning_of(name)} |")
    return "\n".join(rows)


def value_of(settings: Settings, name: str) -> object:
    """The value of the setting `section.name`; of a URL only what others may see."""
    section, field = name.split(".")
    value = getattr(getattr(settings, section), field)
    return shown_url(value) if isinstance(value, str) and "://" in value else value


def meaning_of(name: str) -> str:
    """The one-line description of the setting `section.name`."""
    section, field = name.split(".")
    model = type(Settings.model_fields[section].default)
    return model.model_fields[field].description or ""


def _toml(settings: Settings) -> str:
    lines: list[str] = []
    last_section = ""
    for name in setting_names():
        section, field = name.split(".")
        if section != last_section:
            lines += ["", f"[{section}]"]
            last_section = section
        lines += [f"# {meaning_of(name)}", f"{field} = {_toml_value(value_of(settings, name))}"]
    return "\n".join(lines).strip()


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # A JSON string is a TOML string.
    return str(value) if isinstance(value, int | float) else json.dumps(str(value))

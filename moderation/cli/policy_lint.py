"""`moderation policy lint`: mistakes in policies, and what is likely to be one."""

from typing import Annotated, Literal

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Bundle, Config, Policies, nested
from moderation.settings import load_settings


def lint(
    policies: Policies = None,
    encoder: Bundle = None,
    form: Annotated[
        Literal["text", "json", "github", "sarif"],
        typer.Option("--format", help="For people, programs, GitHub annotations, code scanning."),
    ] = "text",
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend misspelt keys and repeated phrases first.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 on warnings too.")] = False,
    config: Config = None,
) -> int:
    """Look for mistakes in the policies and their tests, and for what is likely to be one.

    Ends with 1 if there is an error, that is, something for which the policies or the tests would
    be refused, and else with 0.
    """
    flags = {"policies.directory": policies, "encoder.bundle": encoder}
    settings = load_settings(nested(flags), config)
    from moderation.cli.linting import run
    from moderation.cli.packages import is_package, policies_unpacked

    if fix and is_package(settings.policies.directory):
        raise CommandError("a package cannot be mended; give its files to --fix", Exit.USAGE)
    with policies_unpacked(settings) as unpacked:
        return run(unpacked, form=form, fix=fix, strict=strict)

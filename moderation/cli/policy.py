"""`moderation policy`: what can be done with policies before they act."""

import typer

from moderation.cli import policy_diff

policy = typer.Typer(
    name="policy", help="Try policies before they act.", rich_markup_mode=None, no_args_is_help=True
)
policy.command("diff")(policy_diff.diff)

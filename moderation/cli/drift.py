"""`moderation drift`: whether policies score as they did, one subcommand a file."""

import typer

from moderation.cli import drift_reference

drift = typer.Typer(
    name="drift",
    help="Notice when policies score differently from how they did.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@drift.callback()
def _group() -> None:
    """Keep the name of the only subcommand."""


drift.command("reference")(drift_reference.reference)

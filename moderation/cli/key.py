"""`moderation key`: one subcommand a file, for those who give out API keys."""

import typer

from moderation.cli import key_create, key_list, key_revoke

key = typer.Typer(
    name="key",
    help="Work with the file of API keys: create, list and revoke.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
key.command("create")(key_create.create)
key.command("list")(key_list.list_keys)
key.command("revoke")(key_revoke.revoke)

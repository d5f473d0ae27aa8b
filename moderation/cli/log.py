"""`moderation log`: one subcommand a file, for those who answer for decisions."""

import typer

from moderation.cli import log_erase, log_query, log_verify

log = typer.Typer(
    name="log",
    help="Work with the decision log: check it, find decisions, erase.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
log.command("verify")(log_verify.verify_log)
log.command("query")(log_query.query)
log.command("export")(log_query.export)
log.command("erase")(log_erase.erase)

"""`moderation policy`: one subcommand a file, for those who write policies."""

import typer

from moderation.cli import policy_diff, policy_history, policy_rollback, policy_schema, policy_tests

policy = typer.Typer(
    name="policy",
    help="Work with policy files: what may be written, what an edit does, going back.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
policy.command("schema")(policy_schema.schema)
policy.command("diff")(policy_diff.diff)
policy.command("test")(policy_tests.run_tests)
policy.command("history")(policy_history.history)
policy.command("rollback")(policy_rollback.rollback)

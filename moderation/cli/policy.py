"""`moderation policy`: one subcommand a file, for those who write policies."""

import typer

from moderation.cli import (
    policy_diff,
    policy_forget,
    policy_history,
    policy_keygen,
    policy_lint,
    policy_pack,
    policy_rollback,
    policy_schema,
    policy_tests,
    policy_verify,
)

policy = typer.Typer(
    name="policy",
    help="Work with policy files: what may be written, what an edit does, going back, signing.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
policy.command("schema")(policy_schema.schema)
policy.command("diff")(policy_diff.diff)
policy.command("lint")(policy_lint.lint)
policy.command("test")(policy_tests.run_tests)
policy.command("forget")(policy_forget.forget)
policy.command("history")(policy_history.history)
policy.command("rollback")(policy_rollback.rollback)
policy.command("keygen")(policy_keygen.keygen)
policy.command("pack")(policy_pack.pack)
policy.command("verify")(policy_verify.verify)

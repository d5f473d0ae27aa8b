"""`moderation policy schema`: what may be written in a policy file, for editors."""

import json
from typing import Annotated, Literal

import typer

from moderation.cli.output import say


def schema(
    kind: Annotated[
        Literal["policy", "profiles", "lists", "categories", "tests"],
        typer.Option("--kind", help="Which file: a policy, one of those beside them, or tests."),
    ] = "policy",
) -> int:
    """Print the JSON Schema of a policy file, as an editor wants it."""
    from moderation.adapters.policy_yaml.json_schema import json_schema

    say(json.dumps(json_schema(kind), indent=2))
    return 0

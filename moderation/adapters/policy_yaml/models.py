"""Reads any YAML file as strictly as the policies: a model and places, and no surprises of YAML."""

from typing import TypeVar

from pydantic import BaseModel

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.files import decode
from moderation.adapters.policy_yaml.tree import Flaw, Flawed
from moderation.adapters.policy_yaml.wording import check
from moderation.core.errors import Problem

Model = TypeVar("Model", bound=BaseModel)


def read_model(model: type[Model], content: bytes, file: str) -> Model | tuple[Problem, ...]:
    """What the bytes say, or everything that is wrong with them; `file` is its name in those."""
    try:
        document = read_document(decode(content))
    except Flawed as error:
        return (_problem(error.flaw, file),)
    flaws = list(document.flaws)
    written = None
    if document.root is not None:
        written, found = check(model, document.root)
        flaws += found
    elif not flaws:
        flaws = [Flaw(None, "the file is empty")]
    if written is None or flaws:
        return tuple(_problem(flaw, file) for flaw in flaws)
    return written


def _problem(flaw: Flaw, file: str) -> Problem:
    line, column = (flaw.place.line, flaw.place.column) if flaw.place else (0, 0)
    return Problem(file, line, column, flaw.message)

"""The file encoder.lock: for which encoder a directory's thresholds were set.

It is written by a command and read at every load; a directory without one is
bound to no encoder.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moderation.adapters.policy_yaml.files import read_policy_file
from moderation.adapters.policy_yaml.tree import Flawed
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import BoundEncoder

LOCK_NAME = "encoder.lock"


class _Lock(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]


def read_binding(directory: Path, shown: str) -> BoundEncoder | None:
    """The bound encoder, or None; raises PolicySetRejected if the file cannot be understood."""
    if not os.path.lexists(directory / LOCK_NAME):
        return None
    file = f"{shown}/{LOCK_NAME}"
    try:
        lock = _Lock.model_validate_json(read_policy_file(directory, LOCK_NAME))
    except Flawed as error:
        raise PolicySetRejected((Problem(file, 0, 0, error.flaw.message),)) from error
    except ValidationError as error:
        message = "is not what `moderation encoder bind` writes; run it again, or delete the file"
        raise PolicySetRejected((Problem(file, 0, 0, message),)) from error
    return BoundEncoder(lock.encoder_id, lock.name, file)


def write_binding(directory: Path, *, encoder_id: str, name: str) -> Path:
    """Bind a directory's thresholds to an encoder; raises OSError."""
    path = directory / LOCK_NAME
    text = _Lock(encoder_id=encoder_id, name=name).model_dump_json(indent=2) + "\n"
    # A running server may read at any moment: it finds the old file or the new one, whole.
    unfinished = path.with_name(f".{LOCK_NAME}")
    unfinished.write_text(text, encoding="utf-8")
    return unfinished.replace(path)


def remove_binding(directory: Path) -> bool:
    """Bind a directory to no encoder; whether it was bound."""
    path = directory / LOCK_NAME
    was_bound = path.exists()
    path.unlink(missing_ok=True)
    return was_bound

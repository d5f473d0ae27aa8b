"""The id that an RPC is found by in the log: the caller's own if it can be used, else a new one."""

import re
from collections.abc import Iterable
from secrets import token_hex

REQUEST_ID = "x-request-id"
"""In the metadata of a request, and in what is sent after its answer."""
MAX_LENGTH = 128
RANDOM_BYTES = 16
_WELL_FORMED = re.compile(rf"[!-~]{{1,{MAX_LENGTH}}}")
"""Printable ASCII without spaces: it must neither break a line of a log nor hide in one."""


def request_id_from(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The first id that the caller sent, if it is well formed; otherwise a random one."""
    sent = next((value for key, value in metadata if key == REQUEST_ID), "")
    if isinstance(sent, str) and _WELL_FORMED.fullmatch(sent):
        return sent
    return token_hex(RANDOM_BYTES)

"""Lets the kernel forbid this process what needs no descriptor: paths, addresses, signals.

Landlock is part of Linux since 5.13, and has grown since; whatever the kernel knows of it is
forbidden. Numbers and structures are those of the kernel's own
`include/uapi/linux/landlock.h`. There is no package for it that is kept and knows the network.
"""

import ctypes
import os

CREATE_RULESET, RESTRICT_SELF = 444, 446
ASK_FOR_VERSION = 1
SET_NO_NEW_PRIVILEGES = 38
FILES_BY_VERSION = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many kinds of access to files each version knows, as the lowest bits."""
NETWORK_SINCE, NETWORK = 4, 0b11
"""To bind and to connect over TCP."""
SCOPES_SINCE, SCOPES = 6, 0b11
"""Abstract sockets of others, and signals to others."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def forbid_the_rest() -> int:
    """Forbid whatever the kernel can, for good; the version of Landlock, 0 where there is none.

    It forbids this thread and those that it starts; call it before there are others. Raises
    OSError if a kernel that has Landlock refuses.
    """
    version = landlock_version()
    if not version:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    files = max(count for since, count in FILES_BY_VERSION.items() if since <= version)
    ruleset = _Ruleset(
        handled_access_fs=(1 << files) - 1,
        handled_access_net=NETWORK if version >= NETWORK_SINCE else 0,
        scoped=SCOPES if version >= SCOPES_SINCE else 0,
    )
    size = ctypes.sizeof(_Ruleset) if version >= SCOPES_SINCE else _Ruleset.scoped.offset
    if version < NETWORK_SINCE:
        size = _Ruleset.handled_access_net.offset
    # Nothing is allowed again by a rule: what is handled is forbidden.
    handle = _checked(libc.syscall(CREATE_RULESET, ctypes.byref(ruleset), size, 0))
    try:
        _checked(libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(libc.syscall(RESTRICT_SELF, handle, 0))
    finally:
        os.close(handle)
    return version


def landlock_version() -> int:
    """The version of Landlock that the kernel has; 0 without any."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(CREATE_RULESET, None, 0, ASK_FOR_VERSION)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result

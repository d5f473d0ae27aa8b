"""`moderation check`: judge pictures on this machine, without a server."""

import asyncio

from moderation.cli.flags import (
    AllVerdicts,
    AsJson,
    Bundle,
    Config,
    Device,
    Pictures,
    Policies,
    Profile,
    nested,
)
from moderation.cli.pictures import find_pictures
from moderation.settings import load_settings

UNHURRIED_S = 3600.0
"""A picture's time here: nobody waits behind it, and a large encoder may be slow."""


def check(
    pictures: Pictures,
    policies: Policies = None,
    encoder: Bundle = None,
    device: Device = None,
    profile: Profile = "",
    all_verdicts: AllVerdicts = False,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Judge pictures on this machine; no server is needed."""
    flags = {
        "policies.directory": policies,
        "encoder.bundle": encoder,
        "encoder.device": device,
        "limits.max_request_s": UNHURRIED_S,
    }
    settings = load_settings(nested(flags), config)
    found = find_pictures(pictures, tell_skipped=True)
    from moderation.cli.local import check_pictures

    return asyncio.run(
        check_pictures(found, settings, profile=profile, all_verdicts=all_verdicts, as_json=as_json)
    )

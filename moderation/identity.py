"""From settings to who may call what, for the server."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from moderation.adapters.access_log import AccessLog
from moderation.adapters.identity.keys_file import KeysFile
from moderation.adapters.identity.schema import KeysSchema
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.adapters.policy_yaml.models import read_model
from moderation.service.access import Access, AccessAudiences, AccessTelemetry, KeyStore
from moderation.service.tenants import Tenants
from moderation.settings import Settings, is_reachable_from_outside

RECHECK_S = 10.0
"""A key that was withdrawn counts no longer than this, also where the kernel tells of no edit."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may call what, and what follows every edit of it until it is cancelled."""

    access: Access
    follow: Callable[[], Coroutine[Any, Any, None]]
    tenants: Tenants


async def identity_from(
    settings: Settings, metrics: AccessTelemetry, clock: Callable[[], datetime]
) -> Identity | None:
    """None if callers are not told apart; raises KeysRejected."""
    log = AccessLog()
    if not settings.identity.keys_file:
        is_closed = settings.tls.client_certificates == "require"
        if is_reachable_from_outside(settings.server.host) and not is_closed:
            log.open_to_everyone(settings.server.host)
        return None
    telemetry = AccessAudiences(metrics, log)
    path = Path(settings.identity.keys_file)
    keys = KeyStore(keys_source(path), telemetry)
    await keys.load()
    tenants = Tenants(
        lambda: keys.tenants,
        max_share=settings.identity.max_tenant_share,
        clock=time.monotonic,
        processes=settings.server.workers,
    )
    access = Access((keys,), telemetry, clock)
    return Identity(access, partial(keys.follow, _watcher(path)), tenants)


def keys_source(path: Path) -> KeysFile:
    """The file of keys, read as strictly as policy files are."""
    return KeysFile(path, partial(read_model, KeysSchema))


def _watcher(path: Path) -> PolicyWatcher:
    directory, name = path.absolute().parent, path.name.lower()
    return PolicyWatcher(directory, recheck_s=RECHECK_S, suffixes=(name,))

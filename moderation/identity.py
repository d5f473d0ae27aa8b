"""From settings to who may call what, for the server."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from moderation.adapters.access_log import AccessLog
from moderation.adapters.identity.keys_file import KeysFile
from moderation.adapters.identity.refreshing import Refreshing
from moderation.adapters.identity.schema import KeysSchema
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.adapters.policy_yaml.models import read_model
from moderation.service.access import (
    Access,
    AccessAudiences,
    AccessTelemetry,
    Authenticator,
    KeyStore,
)
from moderation.service.last_good import LastGood
from moderation.service.ports import ChangeFeed
from moderation.service.tenants import Tenants
from moderation.settings import Settings, is_reachable_from_outside

RECHECK_S = 10.0
"""A key that was withdrawn counts no longer than this, also where the kernel tells of no edit."""
LEAST_REFRESH_S = 5.0

Follow = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may call what."""

    access: Access
    tenants: Tenants
    followers: tuple[Follow, ...]
    """Each follows the edits of one source until it is cancelled."""

    async def follow(self) -> None:
        """Follow every edit until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for one in self.followers:
                tasks.create_task(one())


async def identity_from(
    settings: Settings, metrics: AccessTelemetry, clock: Callable[[], datetime]
) -> Identity | None:
    """None if callers are not told apart; raises KeysRejected, or ImportError without the extra."""
    log = AccessLog()
    telemetry = AccessAudiences(metrics, log)
    authenticators: list[Authenticator] = []
    followers: list[Follow] = []
    keys: KeyStore | None = None
    if settings.identity.keys_file:
        path = Path(settings.identity.keys_file)
        keys = KeyStore(keys_source(path), telemetry)
        await keys.load()
        authenticators.append(keys)
        followers.append(partial(keys.follow, _watcher(path)))
    if settings.identity.takes_tokens:
        tokens, follow = await _tokens(settings, telemetry, keys)
        authenticators.append(tokens)
        followers.append(follow)
    if not authenticators:
        is_closed = settings.tls.client_certificates == "require"
        if is_reachable_from_outside(settings.server.host) and not is_closed:
            log.open_to_everyone(settings.server.host)
        return None
    tenants = Tenants(
        lambda: keys.tenants if keys else {},
        max_share=settings.identity.max_tenant_share,
        clock=time.monotonic,
        processes=settings.server.workers,
    )
    access = Access(authenticators, telemetry, clock, certificates=keys)
    return Identity(access, tenants, tuple(followers))


def keys_source(path: Path) -> KeysFile:
    """The file of keys, read as strictly as policy files are."""
    return KeysFile(path, partial(read_model, KeysSchema))


async def _tokens(
    settings: Settings, telemetry: AccessTelemetry, keys: KeyStore | None
) -> tuple[Authenticator, Follow]:
    from moderation.adapters.identity import jwks, tokens  # noqa: PLC0415 - an extra

    chosen = settings.identity
    refreshing = Refreshing(
        every_s=chosen.jwks_refresh_s, least_s=min(LEAST_REFRESH_S, chosen.jwks_refresh_s)
    )
    path = Path(chosen.jwks_file)
    signers = LastGood(
        jwks.JwksFile(path) if chosen.jwks_file else jwks.JwksUrl(chosen.jwks_url),
        empty=jwks.SigningKeys(),
        loaded=lambda loaded: telemetry.signers_loaded(len(loaded.by_id)),
        rejected=telemetry.signers_rejected,
    )
    await signers.load()
    feed: ChangeFeed = _watcher(path) if chosen.jwks_file else refreshing
    rules = tokens.TokenRules(
        chosen.jwt_issuer,
        chosen.jwt_audience,
        chosen.algorithms,
        chosen.jwt_leeway_s,
        chosen.jwt_tenant_claim,
        chosen.jwt_roles_claim,
    )
    authenticator = tokens.TokenAuthenticator(
        rules,
        keys=lambda: signers.value,
        tenants=None if keys is None else lambda: keys.tenants,
        missing=refreshing.ask,
    )
    return authenticator, partial(signers.follow, feed)


def _watcher(path: Path) -> PolicyWatcher:
    directory, name = path.absolute().parent, path.name.lower()
    return PolicyWatcher(directory, recheck_s=RECHECK_S, suffixes=(name,))

"""How the client's channels behave: retries, message sizes, keepalive, load balancing."""

import json
from typing import Any, TypeAlias

import grpc

from moderation.client.tls import Tls

SERVICE = "moderation.v1.ModerationService"
MAX_MESSAGE_BYTES = 64 * 2**20
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
FIRST_RECONNECT_MS = 100
LAST_RECONNECT_MS = 2_000
"""As often as Budget asks again: a call without a connection fails at once."""

Credentials: TypeAlias = Tls | grpc.ChannelCredentials | None
"""How a connection is secured; None: plain text."""

SERVICE_CONFIG: dict[str, Any] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
            "waitForReady": False,
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # RESOURCE_EXHAUSTED is left out: gRPC would guess when to come back, where
                # the service says it. See Budget.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Once half of the tokens are spent on failures, retries stop until calls succeed again.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
}


def channel_security(credentials: Credentials) -> grpc.ChannelCredentials | None:
    """What gRPC takes; raises TlsUnusable."""
    return credentials.credentials() if isinstance(credentials, Tls) else credentials


def channel_options(credentials: Credentials = None) -> list[tuple[str, str | int]]:
    """Options for a grpc channel, synchronous or not."""
    return [
        *(credentials.options() if isinstance(credentials, Tls) else []),
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # Each client has connections of its own: a server of several processes deals them out.
        ("grpc.use_local_subchannel_pool", 1),
        # A message that does not fit here is never sent again; the default is 256 KiB, less
        # than most photographs.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", LAST_RECONNECT_MS),
    ]

"""`moderation serve`: run the server until it is told to stop."""

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import (
    Bundle,
    ClientCa,
    Config,
    DecisionLog,
    Device,
    Host,
    Insecure,
    Keys,
    MetricsPort,
    Package,
    Policies,
    Port,
    TlsCertificate,
    TlsKey,
    Workers,
    nested,
)
from moderation.settings import Settings, is_reachable_from_outside, load_settings

if TYPE_CHECKING:
    from moderation.working import Worker


def serve(
    host: Host = None,
    port: Port = None,
    metrics_port: MetricsPort = None,
    workers: Workers = None,
    policies: Policies = None,
    package: Package = None,
    package_keys: Annotated[
        str | None, typer.Option(help="PEM files of the keys that may have signed it.")
    ] = None,
    encoder: Bundle = None,
    device: Device = None,
    shadow_encoder: Annotated[
        str | None, typer.Option(help="Second encoder, shown a share of the content.")
    ] = None,
    shadow_share: Annotated[
        float | None, typer.Option(help="Share of the content for the second encoder, 0 to 1.")
    ] = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    client_ca: ClientCa = None,
    insecure: Insecure = None,
    keys: Keys = None,
    require_policy_tests: Annotated[
        bool | None,
        typer.Option("--require-policy-tests", help="Activate no policies that fail their tests."),
    ] = None,
    decision_log: DecisionLog = None,
    log_format: Annotated[str | None, typer.Option(help="json or pretty.")] = None,
    config: Config = None,
) -> int:
    """Serve decisions over gRPC, and metrics over HTTP, until SIGTERM or SIGINT."""
    flags: dict[str, Any] = {
        "server.host": host,
        "server.port": port,
        "server.insecure": insecure,
        "identity.keys_file": keys,
        "server.workers": workers,
        "tls.certificate_file": tls_certificate,
        "tls.key_file": tls_key,
        "tls.client_ca_file": client_ca,
        "tls.client_certificates": "require" if client_ca else None,
        "metrics.port": metrics_port,
        "policies.directory": policies,
        "package.source": package,
        "package.public_keys": package_keys,
        "encoder.bundle": encoder,
        "encoder.device": device,
        "shadow_encoder.bundle": shadow_encoder,
        "shadow_encoder.share": shadow_share,
        "policies.require_tests": require_policy_tests,
        "decision_log.directory": decision_log,
        "log.format": log_format,
    }
    settings = load_settings(nested(flags), config)
    if policies is not None and settings.package.source:
        message = "--policies and package.source name two sources; leave one of them away"
        raise CommandError(message, Exit.USAGE)
    refuse_what_cannot_serve(settings)
    # gRPC would tell each handshake that fails in lines of its own: whoever can connect could fill
    # a log with them. GRPC_VERBOSITY=INFO brings them back.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    return _run(settings) if settings.server.workers == 1 else _supervise(settings)


def serve_as_worker(number: int) -> int:
    """Be one of several processes; the socket of this number leads to the supervisor."""
    from moderation.working import take_orders

    try:
        settings, worker = take_orders(socket.socket(fileno=number))
    except (EOFError, OSError) as error:
        message = "a worker is started by `moderation serve --workers`, and by nobody else"
        raise CommandError(message, Exit.USAGE) from error
    return _run(settings, worker)


def _run(settings: Settings, worker: "Worker | None" = None) -> int:
    import uvloop

    from moderation.adapters.log_form import configure_logging
    from moderation.app import serve_until_stopped

    number = None if worker is None else worker.index
    configure_logging(settings.log.format, settings.log.level, worker=number)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_until_stopped(settings, worker))
    except OSError as error:
        raise CommandError(f"cannot start: {error}", Exit.UNAVAILABLE) from error
    return Exit.ALLOW


def _supervise(settings: Settings) -> int:
    if sys.platform != "linux":
        raise CommandError("server.workers above 1 needs Linux; set it to 1", Exit.CONFIG)
    from moderation.adapters.log_form import configure_logging
    from moderation.service.supervision import WorkersLost
    from moderation.supervising import supervise

    configure_logging(settings.log.format, settings.log.level)
    try:
        asyncio.run(supervise(settings))
    except WorkersLost as error:
        known = error.exit_code in set(Exit)
        raise CommandError(str(error), Exit(error.exit_code) if known else Exit.SOFTWARE) from error
    except OSError as error:
        raise CommandError(f"cannot start: {error}", Exit.UNAVAILABLE) from error
    return Exit.ALLOW


def refuse_what_cannot_serve(settings: Settings) -> None:
    """Raise CommandError if no server is to start with these settings."""
    sections = (settings.tls, settings.identity, settings.package)
    if contradiction := next((one.contradiction for one in sections if one.contradiction), ""):
        raise CommandError(contradiction, Exit.CONFIG)
    _refuse_open_plain_text(settings)
    _refuse_one_port_for_both(settings)


def _refuse_open_plain_text(settings: Settings) -> None:
    server = settings.server
    if settings.tls.is_on or server.insecure or not is_reachable_from_outside(server.host):
        return
    raise CommandError(
        f"server.host {server.host} can be reached by other machines, and this server speaks "
        "plain text; give it --tls-certificate and --tls-key, or put it behind a TLS proxy and "
        "pass --insecure, or listen on 127.0.0.1",
        Exit.CONFIG,
    )


def _refuse_one_port_for_both(settings: Settings) -> None:
    server, metrics = settings.server, settings.metrics
    if server.port == metrics.port != 0 and server.host == metrics.host:
        raise CommandError(
            f"server.port and metrics.port are both {server.port} on {server.host}; "
            "give the metrics another port with --metrics-port",
            Exit.CONFIG,
        )

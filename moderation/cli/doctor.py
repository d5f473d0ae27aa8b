"""`moderation doctor`: whether this installation can serve, and what to mend."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from moderation.cli.exits import Exit
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
    Policies,
    Port,
    TlsCertificate,
    TlsKey,
    Workers,
    nested,
)
from moderation.cli.output import printable, say, say_table
from moderation.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from moderation.cli.examination.findings import Finding

STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}
NO_SETTINGS = "mend them first; `moderation config` shows every setting"


def doctor(
    host: Host = None,
    port: Port = None,
    metrics_port: MetricsPort = None,
    workers: Workers = None,
    policies: Policies = None,
    encoder: Bundle = None,
    device: Device = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    client_ca: ClientCa = None,
    insecure: Insecure = None,
    keys: Keys = None,
    decision_log: DecisionLog = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a finding and line.")
    ] = False,
    config: Config = None,
) -> int:
    """Check the installation, and say how to mend what is wrong; start it as the service's user.

    What `moderation serve` is told by flags or by its environment has to be told here too.
    Ends with 0 if nothing fails, with 78 if settings, policies or encoder do, and with 69 if
    the machine does.
    """
    from moderation.cli.examination.checks import examine, exit_code_of
    from moderation.cli.examination.findings import broken

    flags = {
        "server.host": host,
        "server.insecure": insecure,
        "server.port": port,
        "metrics.port": metrics_port,
        "server.workers": workers,
        "policies.directory": policies,
        "encoder.bundle": encoder,
        "encoder.device": device,
        "tls.certificate_file": tls_certificate,
        "tls.key_file": tls_key,
        "tls.client_ca_file": client_ca,
        "tls.client_certificates": "require" if client_ca else None,
        "identity.keys_file": keys,
        "decision_log.directory": decision_log,
    }
    try:
        settings = load_settings(nested(flags), config)
    except SettingsError as error:
        wrong = [broken(line, "settings", NO_SETTINGS) for line in str(error).splitlines()]
        _tell([("settings", one) for one in wrong], as_json=as_json)
        return Exit.CONFIG
    found = list(examine(settings))
    _tell([(check.name, finding) for check, finding in found], as_json=as_json)
    return exit_code_of(found)


def _tell(found: "list[tuple[str, Finding]]", *, as_json: bool) -> None:
    if as_json:
        for check, finding in found:
            say(json.dumps({"check": check, **asdict(finding)}))
        return
    table = Table("", "check", "finding", "where", "what to do", box=None)
    for check, one in found:
        level = Text(one.level, style=STYLE[one.level])
        table.add_row(level, check, *map(printable, (one.what, one.where, one.cure)))
    say_table(table)
    counts = Counter(one.level.value for _, one in found)
    say(f"{counts['fail']} to mend, {counts['warn']} to look at, {counts['ok']} in order")

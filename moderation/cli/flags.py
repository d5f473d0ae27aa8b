"""Options that several subcommands share, and how flags become settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from moderation.cli.exits import CommandError, Exit

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file, TOML or YAML.", show_default=False)
]
Policies = Annotated[Path | None, typer.Option("--policies", help="Directory of the policy files.")]
Package = Annotated[
    str | None,
    typer.Option(
        "--package", help="Signed package of policies instead: a .tar.gz file, a folder, or a URL."
    ),
]
Bundle = Annotated[
    str | None,
    typer.Option("--encoder", help="Name of a bundled or stored encoder, or a bundle directory."),
]
Device = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, tensorrt, or cuda:0,cuda:1.")
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on; 0: any free.")]
MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", help="Port of /metrics; 0: any free.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Processes that share the port, each with an encoder."),
]
TlsCertificate = Annotated[
    str | None,
    typer.Option(
        "--tls-certificate", help="PEM file of the server's certificate; plain text without."
    ),
]
TlsKey = Annotated[str | None, typer.Option("--tls-key", help="PEM file of the certificate's key.")]
Insecure = Annotated[
    bool | None,
    typer.Option("--insecure", help="Allow plain text on an address others can reach."),
]
ClientCa = Annotated[
    str | None,
    typer.Option(
        "--client-ca", help="PEM file: only clients with a certificate of these may connect."
    ),
]
Keys = Annotated[
    str | None,
    typer.Option("--keys", help="File of tenants and API keys; without, all may call."),
]
DecisionLog = Annotated[
    str | None,
    typer.Option("--decision-log", help="Directory for a record of every decision; none without."),
]
Profile = Annotated[
    str, typer.Option("--profile", help="Profile to judge by.", show_default="default")
]
AllVerdicts = Annotated[
    bool, typer.Option("--all", help="Show every policy's verdict, not only the deciding one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a picture and line.")]
Address = Annotated[str, typer.Option("--address", help="Where the server listens, host:port.")]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", help="PEM file of the server's authority; connects by TLS."),
]
Cert = Annotated[
    Path | None, typer.Option("--cert", help="PEM file of a certificate to show to the server.")
]
Key = Annotated[Path | None, typer.Option("--key", help="PEM file of the key of --cert.")]
ServerName = Annotated[
    str, typer.Option("--server-name", help="Name in the server's certificate, if another.")
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        help="File with the API key or token to show.",
        show_default="MODERATION_API_KEY",
    ),
]
PlainTextKey = Annotated[
    bool,
    typer.Option("--plain-text-key", help="Send it in plain text to another machine too."),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.001, help="Seconds for one answer, retries included.")
]
Pictures = Annotated[
    list[Path],
    typer.Argument(
        help="Pictures, or folders: of these every .gif, .jpeg, .jpg, .png and .webp below them.",
        show_default=False,
    ),
]


def named_alone(policies: Path | None, package: str | None) -> Mapping[str, Any]:
    """What is named is meant, whatever the settings say that a server goes by.

    Raises CommandError if both are.
    """
    if policies is not None and package is not None:
        message = "--policies and --package name two sources; leave one of them away"
        raise CommandError(message, Exit.USAGE)
    if policies is None:
        return {"package.source": package}
    return {"policies.directory": policies, "package.source": "", "package.public_keys": ""}


def nested(flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Flags as `section.name` to values, as sections; a flag that was not given is left out."""
    sections: dict[str, dict[str, Any]] = {}
    for setting, value in flags.items():
        if value is not None:
            section, name = setting.split(".")
            sections.setdefault(section, {})[name] = value
    return sections

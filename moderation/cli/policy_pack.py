"""`moderation policy pack`: the policies of a directory as one signed file."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Bundle, Config, nested
from moderation.cli.output import say
from moderation.core.errors import PolicySetRejected
from moderation.settings import Settings, bundle_store, load_settings

SHOWN_DIGITS = 12


def pack(
    directory: Annotated[Path, typer.Argument(help="Directory of the policy files.")],
    key: Annotated[
        list[Path],
        typer.Option(help="File of the key to sign with; may be given more than once."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The archive; the signature is put beside it.")
    ] = Path("policies.tar.gz"),
    serial: Annotated[
        int | None,
        typer.Option(
            help="Above that of the package before.",
            show_default="milliseconds since 1970",
            min=1,
            max=2**53,
        ),
    ] = None,
    encoder: Bundle = None,
    config: Config = None,
) -> int:
    """Pack the policies with all that is beside them, and sign the package.

    Nothing is packed that a server with this encoder and these settings would refuse. The same
    files give the same archive.
    """
    flags = {"policies.directory": directory, "encoder.bundle": encoder}
    settings = load_settings(nested(flags), config)
    from moderation.adapters.policy_package import SIGNATURE_SUFFIX, read_private_key, seal, state

    try:
        keys = [read_private_key(path) for path in key]
        archive = _packed(settings)
        statement = state(archive, serial=serial or time.time_ns() // 1_000_000)
    except PolicySetRejected as rejected:
        raise CommandError(str(rejected), Exit.CONFIG) from rejected
    except OSError as error:
        message = f"{error.filename or directory}: cannot be read: {error.strerror}"
        raise CommandError(message, Exit.NO_INPUT) from error
    signature = output.with_name(output.name + SIGNATURE_SUFFIX)
    # The signature last: a server that looks meanwhile finds the old one, and keeps to it.
    _write([(output, archive), (signature, seal(statement, keys))])
    digest = statement.sha256[:SHOWN_DIGITS]
    say(f"{output}: {len(archive)} bytes, sha256 {digest}, serial {statement.serial}")
    return Exit.ALLOW


def _packed(settings: Settings) -> bytes:
    """Raises BundleRejected, PolicySetRejected or OSError."""
    from moderation.adapters.encoders.registry import describe_encoder
    from moderation.adapters.policy_package import pack as archive_of
    from moderation.policies import servable_policies

    encoder, _ = describe_encoder(
        settings.encoder.bundle, store=bundle_store(settings), device=settings.encoder.device
    )
    servable_policies(settings, encoder)
    return archive_of(settings.policies.directory)


def _write(files: Sequence[tuple[Path, bytes]]) -> None:
    for path, content in files:
        unfinished = path.with_name(f".{path.name}.new")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        except OSError as error:
            message = f"{path}: cannot be written: {error.strerror}"
            raise CommandError(message, Exit.NO_PERMISSION) from error

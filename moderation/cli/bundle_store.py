"""`moderation bundle list|pull|remove`: the encoders that `--encoder` finds by name."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from moderation.cli.exits import Exit
from moderation.cli.flags import AsJson, Config
from moderation.cli.output import say, say_table
from moderation.settings import bundle_store, load_settings

if TYPE_CHECKING:
    from moderation.adapters.encoders.manifest import Manifest

SOURCE = (
    "A bundle's directory or tar archive; or a hub id or `save_pretrained` directory to export."
)
PRECISION = "Of an export: int8 for the CPU (fp32 if not accurate enough), fp16 for CUDA, or fp32."
ID_SHOWN = 12


def register(cli: typer.Typer) -> None:
    """Add the store's commands to `moderation bundle`."""
    cli.command("list")(list_bundles)
    cli.command("pull")(pull)
    cli.command("remove")(remove)


@dataclass(frozen=True, slots=True)
class Listed:
    """One bundle that can be named; `problem` says why it cannot be loaded."""

    name: str
    place: str
    family: str = ""
    precision: str = ""
    dimensions: int = 0
    bytes: int = 0
    encoder_id: str = ""
    problem: str = ""


def list_bundles(as_json: AsJson = False, config: Config = None) -> int:
    """List the encoders that come with the package, and those in the store."""
    listed = list(_listed(bundle_store(load_settings({}, config))))
    if as_json:
        for one in listed:
            say(json.dumps(asdict(one)))
        return Exit.ALLOW
    table = Table("name", "where", "family", "precision", "size", "encoder id", "", box=None)
    for one in listed:
        size = f"{one.bytes / 1e6:.0f} MB" if one.bytes else ""
        cells = (one.name, one.place, one.family, one.precision, size)
        table.add_row(*cells, one.encoder_id[:ID_SHOWN], one.problem)
    say_table(table)
    return Exit.ALLOW


def pull(
    source: Annotated[str, typer.Argument(help=SOURCE)],
    name: Annotated[
        str | None, typer.Option("--name", help="Name in the store, instead of the bundle's own.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help=PRECISION)] = "int8",
    revision: Annotated[
        str | None, typer.Option("--revision", help="Of an export: branch, tag or commit.")
    ] = None,
    config: Config = None,
) -> int:
    """Put an encoder into the store: a bundle is copied and verified, a model is exported."""
    from moderation.adapters.encoders.bundle_store import add_bundle
    from moderation.adapters.encoders.manifest import MANIFEST_NAME

    store = bundle_store(load_settings({}, config))
    given = Path(source)
    if given.is_file() or (given / MANIFEST_NAME).is_file():
        say(f"stored as {add_bundle(given, store, name=name).name} in {store}")
        return Exit.ALLOW
    return _export(source, store, name=name, precision=precision, revision=revision)


def remove(
    name: Annotated[str, typer.Argument(help="Name of a stored encoder.")], config: Config = None
) -> int:
    """Delete an encoder from the store."""
    from moderation.adapters.encoders.bundle_store import remove_bundle

    say(f"removed {remove_bundle(name, bundle_store(load_settings({}, config)))}")
    return Exit.ALLOW


def _export(
    source: str, store: Path, *, name: str | None, precision: str, revision: str | None
) -> Exit:
    from moderation.adapters.encoders.bundle_store import keep, place_for
    from moderation.adapters.encoders.manifest import Manifest
    from moderation.cli.bundle_export import export_bundle

    with place_for(store) as place:
        made = place.with_name("exported")
        outcome = export_bundle(source, made, precision=precision, revision=revision, name=name)
        if made.is_dir():
            # The manifest's name tells the precision, which may be a fall-back's.
            kept = keep(made, store, Manifest.load(made).name)
            say(f"stored as {kept.name} in {store}")
    return outcome


def _listed(store: Path) -> Iterator[Listed]:
    from moderation.adapters.encoders.bundle_store import stored_names
    from moderation.adapters.encoders.registry import bundled_names, find_bundle

    for name in bundled_names():
        yield _described(name, find_bundle(name), "with the package")
    for name in stored_names(store):
        yield _described(name, store / name, "in the store")


def _described(name: str, directory: Path, place: str) -> Listed:
    from moderation.adapters.encoders.manifest import Manifest, ManifestError
    from moderation.adapters.encoders.parity import require_parity
    from moderation.core.errors import BundleRejected

    try:
        manifest = Manifest.load(directory)
        size = _size(directory, manifest)
    except (ManifestError, OSError) as error:
        return Listed(name, place, problem=str(error))
    problem = ""
    try:
        require_parity(directory, manifest)
    except BundleRejected as error:
        problem = str(error)
    return Listed(
        name,
        place,
        manifest.family,
        manifest.precision,
        manifest.dim,
        size,
        manifest.encoder_id,
        problem,
    )


def _size(directory: Path, manifest: "Manifest") -> int:
    return sum((directory / file).stat().st_size for file in manifest.files)

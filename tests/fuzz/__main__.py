"""`python -m tests.fuzz NAME --seconds 600`: coverage-guided mutants of known inputs, by atheris.

It ends with 0 if nothing was found; otherwise the input that shows the fault lies in
`--findings`, and belongs into the tests once the fault is mended.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["moderation", "PIL", "ruamel"]):
    from tests.fuzz.targets import TARGETS

MEMORY_MB = 2048


def main() -> None:
    """Fuzz one target for so many seconds."""
    arguments = parsed()
    target = TARGETS[arguments.name]
    arguments.findings.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as made:
        for seed in target.seeds():
            if len(seed) <= target.max_bytes:
                (Path(made) / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-max_len={target.max_bytes}",
            f"-timeout={arguments.slow_s}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={arguments.findings}/",
            "-print_final_stats=1",
            made,
        ]
        atheris.Setup([sys.argv[0], *options], target.once)
        atheris.Fuzz()  # ends the process


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="how long (60)")
    parser.add_argument("--slow-s", type=int, default=10, help="what counts as a hang (10)")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="(findings)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""`python -m tests.fuzz NAME --seconds 600`: coverage-guided mutants of known inputs, by atheris.

It ends with 0 if nothing was found; otherwise the input that shows the fault lies in
`--findings`, and belongs into the tests once the fault is mended.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["moderation", "PIL", "ruamel"]):
    from tests.fuzz.targets import TARGETS, Target

MEMORY_MB = 2048
ANY_S = 0.1
"""Of processor time, which any input may take: a collection of garbage may be among it."""
HANGS_S = 60
"""By the clock, which also runs while other programs do."""


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
            f"-timeout={HANGS_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={arguments.findings}/",
            "-print_final_stats=1",
            made,
        ]
        atheris.Setup([sys.argv[0], *options], within(arguments.slow_s, target))
        atheris.Fuzz()  # ends the process


def within(slow_s: float, target: Target) -> Callable[[bytes], None]:
    """What fails, besides, for bytes that take more processor time than that, or than is theirs."""

    def timed(data: bytes) -> None:
        before = time.process_time()
        target.once(data)
        took_s = time.process_time() - before
        if took_s > min(slow_s, ANY_S + len(data) * target.slow_s_a_byte):
            raise TimeoutError(f"{took_s:.2f} s of processor time for {len(data)} bytes")

    return timed


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="how long (60)")
    parser.add_argument(
        "--slow-s", type=float, default=1.0, help="of processor time: a fault if passed (1)"
    )
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="(findings)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Whatever an installation brings along may be used by anyone who uses this project."""

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[1] / "requirements" / "cpu.lock"
NAMES = re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE)
ALLOWED = frozenset(
    {
        "0BSD",
        "3-Clause BSD License",
        "Apache Software License",
        "Apache-2.0",
        "BSD License",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC License (ISCL)",
        "MIT",
        "MIT-0",
        "MIT License",
        "MIT-CMU",
        "MPL-2.0",
        "Mozilla Public License 2.0 (MPL 2.0)",
        "PSF-2.0",
        "Zlib",
    }
)
"""As packages name them. Weak copyleft binds changes of the package itself only."""


def licences_of(package: str) -> set[str]:
    """By the expression that a package states, else by its classifiers, else by its free text."""
    about = metadata(package).json
    if expression := about.get("license_expression"):
        return set(re.split(r" (?:AND|OR) ", str(expression)))
    classifiers = [one for one in about.get("classifier", []) if one.startswith("License ::")]
    named = {one.rpartition(" :: ")[2] for one in classifiers}
    return named or set(re.split(r" AND ", str(about.get("license"))))


def test_the_lock_was_read() -> None:
    assert {"grpcio", "numpy", "onnxruntime"} <= set(NAMES)


@pytest.mark.parametrize("package", NAMES)
def test_a_dependency_may_be_used_by_anyone(package: str) -> None:
    assert licences_of(package) <= ALLOWED

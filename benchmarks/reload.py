"""From the moment in which a policy file is written to its being in force, on the real server.

    python -m benchmarks.reload [--rounds 5] [--policies 100 1000] [--phrases 20]

One policy of many is changed: only its own phrase has to be embedded anew.
"""

import tempfile
import time
from pathlib import Path

from benchmarks.rounds import Row, parser, report
from benchmarks.servers import our_server
from moderation.client import ModerationClient

POLL_S = 0.01
"""What is measured is known to so much; asking more often would slow the server down."""
PATIENCE_S = 60.0
STARTS = 4
WORDS = ("red", "old", "small", "bright", "broken", "wooden", "heavy", "round", "wet", "quiet")


def main() -> None:
    """Measure each size on a server of its own."""
    flags = parser(__doc__)
    flags.add_argument("--policies", type=int, nargs="+", default=[100, 1000])
    flags.add_argument("--phrases", type=int, default=20, help="of each policy")
    arguments = flags.parse_args()
    rows: list[Row] = []
    for policies in arguments.policies:
        with tempfile.TemporaryDirectory() as scratch:
            edits_s, starts_s = measure(
                Path(scratch), policies, arguments.phrases, arguments.rounds
            )
        name = f"{policies} policies of {arguments.phrases} phrases"
        rows += [
            Row(f"{name}: one phrase changed", "s", edits_s, more_is_better=False),
            Row(f"{name}: first start", "s", starts_s[:1], more_is_better=False),
            Row(f"{name}: start with texts kept", "s", starts_s[1:], more_is_better=False),
        ]
    report("reload, from write to live", rows, arguments)


def measure(
    scratch: Path, policies: int, phrases: int, rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of each edit, and of each start; the first has to embed every phrase."""
    directory = scratch / "policies"
    directory.mkdir()
    for number in range(policies):
        write(directory, number, phrases, edit=0)
    starts_s: list[float] = []
    for start in range(STARTS):
        env = {
            "MODERATION_POLICIES__STATE_DIRECTORY": str(scratch / f"state-{start}"),
            "MODERATION_POLICIES__CACHE_DIRECTORY": str(scratch / "cache"),
        }
        started = time.perf_counter()
        with our_server(directory, env=env) as address, ModerationClient(address) as client:
            starts_s.append(time.perf_counter() - started)
            if start == STARTS - 1:
                edits = range(1, rounds + 1)
                edits_s = tuple(edited_s(client, directory, phrases, edit) for edit in edits)
    return edits_s, tuple(starts_s)


def edited_s(client: ModerationClient, directory: Path, phrases: int, edit: int) -> float:
    """Seconds from the write until the server answers by another version."""
    before = client.status().policy_set.version
    written = time.perf_counter()
    write(directory, 0, phrases, edit=edit)
    while client.status().policy_set.version == before:
        spent = time.perf_counter() - written
        if spent > PATIENCE_S:
            errors = client.status().policy_set.last_reload_errors
            raise TimeoutError(f"the edit was not taken over within {spent:.0f} s: {errors}")
        time.sleep(POLL_S)
    return time.perf_counter() - written


def write(directory: Path, number: int, phrases: int, *, edit: int) -> None:
    """Write one policy; an edit changes its first phrase."""
    texts = [f"a {WORDS[n % len(WORDS)]} thing number {number} {n}" for n in range(phrases)]
    texts[0] += f" after edit {edit}"
    listed = "".join(f"  - {text}\n" for text in texts)
    (directory / f"policy-{number}.yaml").write_text(
        f"id: policy-{number}\ntitle: Policy {number}\n"
        f'templates: ["{{}}"]\nphrases:\n{listed}'
        "thresholds: {review: 0.5, block: 0.8}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

"""The whole server against a naive one, over gRPC, from a generator in its own process.

    python -m benchmarks.serve [--only "VGA, 32" ...] [--rounds 5] [--seconds 8] [--encoder BUNDLE]

In the same rounds the encoder is run alone, in batches of 8, while the servers rest: what a server
makes of it is held against that.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.encoder import encoder_of, images_per_s
from benchmarks.load import Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.servers import naive_server, our_server

WARM_UP = 0.4
"""Of the measured time. Callers who all begin at once are served in waves at first, and a time that
is not several waves long counts too many of one server's or too few of another's."""
LARGE = 2.5
"""Times as long for pictures of which the naive server has a wave of 32 in some seconds."""
PATIENT = {"MODERATION_LIMITS__TARGET_WAIT_S": "60"}
"""Callers that ask one after the other are to queue here, not to be turned away: what admission
does is what `benchmarks.overload` measures."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load on our server, and what it is held against: the same on the naive one, or ours."""

    name: str
    kind: str = "VGA"
    concurrency: int = 32
    stream: bool = False
    repeats: bool = False
    against: str = ""
    """Another scenario on our own server; empty for this one on the naive server."""
    lasts: float = 1.0
    """Times the time that was asked for."""

    def load(self, address: str, seconds: float) -> Load:
        """What to ask the server at this address."""
        return Load(
            address,
            self.kind,
            seconds * self.lasts,
            warm_up_s=seconds * self.lasts * WARM_UP,
            concurrency=self.concurrency,
            stream=self.stream,
            repeats=self.repeats,
        )


SCENARIOS = (
    *(Scenario(f"VGA, {callers}", concurrency=callers) for callers in (1, 8, 32, 64)),
    Scenario("VGA stream, 32", stream=True, against="VGA, 32"),
    Scenario("1080p, 32", kind="1080p"),
    Scenario("12 MP, 32", kind="12 MP", lasts=LARGE),
    Scenario("VGA PNG, 32", kind="VGA PNG"),
    Scenario("VGA WebP, 32", kind="VGA WebP"),
    Scenario("VGA repeated, 1", concurrency=1, repeats=True, against="VGA, 1"),
    Scenario("VGA repeated, 32", repeats=True, against="VGA, 32"),
)
NAIVE = "naive"
OURS = "ours"
BATCH = 8
BARE = f"encoder alone, batches of {BATCH}"

Measured = dict[tuple[str, str], list[Outcome]]
"""Outcomes by scenario and server, one a round."""


def main() -> None:
    """Measure every scenario in turns, and show ours against the naive server's."""
    flags = parser(__doc__)
    flags.add_argument("--only", nargs="*", default=[""], help="scenarios whose name holds one")
    flags.add_argument("--seconds", type=float, default=8.0, help="of load a scenario and round")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument(
        "--naive-encoder", default="", help="the naive server's, for example fp32; else the same"
    )
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    scenarios = [one for one in SCENARIOS if any(part in one.name for part in arguments.only)]
    bare = partial(bare_images_per_s, encoder_of(arguments.encoder, threads=0), arguments.seconds)
    with ExitStack() as stack:
        address_by_server = {
            OURS: stack.enter_context(
                our_server(arguments.policies, encoder=arguments.encoder, env=PATIENT)
            ),
            NAIVE: stack.enter_context(
                naive_server(
                    arguments.policies, encoder=arguments.naive_encoder or arguments.encoder
                )
            ),
        }
        measured: Measured = {}
        alone = []
        for number in range(arguments.rounds):
            alone.append(bare())
            measure(scenarios, address_by_server, number, arguments.seconds, measured)
    rows = [Row(BARE, "1/s", tuple(alone))]
    rows += [row for one in scenarios for row in rows_of(one, measured)]
    rows += [
        replace(row, name=f"{row.name}, of the encoder", baseline=BARE)
        for row in rows
        if row.name.endswith(f": {OURS}, images") and "repeated" not in row.name
    ]
    report(f"served, {Path(arguments.encoder).name}", rows, arguments)


def measure(
    scenarios: Sequence[Scenario],
    address_by_server: dict[str, str],
    number: int,
    seconds: float,
    measured: Measured,
) -> None:
    """Add a round's outcomes; the servers take turns at going first."""
    for scenario in scenarios:
        servers = [OURS] if scenario.against else [OURS, NAIVE]
        for server in servers[:: 1 if number % 2 else -1]:
            load = scenario.load(address_by_server[server], seconds)
            measured.setdefault((scenario.name, server), []).append(run_load(load))


def bare_images_per_s(run: Callable[[int], object], seconds: float) -> float:
    """What the encoder makes alone, on every core."""
    return images_per_s(partial(run, BATCH), BATCH, seconds)


def rows_of(scenario: Scenario, measured: Measured) -> list[Row]:
    """Throughput and latencies, each held against what the scenario names."""
    rows: list[Row] = []
    for server in (NAIVE, OURS):
        outcomes = measured.get((scenario.name, server))
        if outcomes is None:
            continue
        held = f"{scenario.against}: {OURS}" if scenario.against else f"{scenario.name}: {NAIVE}"
        name = f"{scenario.name}: {server}"
        note = next((text for text in map(summary, outcomes) if text), "")
        per_s = tuple(one.per_s for one in outcomes)
        rows.append(Row(f"{name}, images", "1/s", per_s, f"{held}, images", note=note))
        for percent in (50, 99):
            rows.append(
                Row(
                    f"{name}, p{percent}",
                    "ms",
                    tuple(one.percentile_ms(percent) for one in outcomes),
                    f"{held}, p{percent}",
                    more_is_better=False,
                )
            )
    return [replace(row, baseline="") if row.baseline == row.name else row for row in rows]


if __name__ == "__main__":
    main()

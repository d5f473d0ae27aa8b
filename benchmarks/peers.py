"""The whole server against others that one could pick: same pictures, same weights, in turns.

    python -m benchmarks.peers --model DIRECTORY --encoder BUNDLE [--rounds 5]

`--model` is the model as `save_pretrained` wrote it, `--encoder` the int8 bundle that was exported
from it, `--reference` the fp32 one for the naive server. Each peer is installed from PyPI into an
environment of its own below `--environments`, once. Peers answer with an embedding; ours also
scores it against the policies.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.load import GRPC, Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.serve import PATIENT
from benchmarks.servers import naive_server, our_server, running

START_S = 180.0
GRAPH = "PEER_GRAPH"
"""As peer_mosec.py names it, which only its own environment can import."""
OURS = "ours"
PACKAGES: Mapping[str, Sequence[str]] = {
    "mosec": ("mosec==0.9.8", "onnxruntime==1.32.0", "pillow==13.0.0", "numpy<3"),
    "infinity": (
        "infinity-emb[server,torch]==0.0.78",
        "torch==2.13.0",
        "transformers<5",
        "click<8.2",
        "pillow",
        "aiohttp",  # which it needs for every image, and has only in extras for other things
    ),
}
SILENT = {
    "INFINITY_LOG_LEVEL": "error",
    "DO_NOT_TRACK": "1",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers, and how it is asked."""

    address: str
    protocol: str = GRPC


def main() -> None:
    """All servers run, and are asked in turns; those that nobody asks only wait."""
    flags = parser(__doc__)
    flags.add_argument("--model", type=Path, required=True, help="from save_pretrained")
    flags.add_argument("--encoder", required=True, help="the bundle that ours and mosec run")
    flags.add_argument("--reference", required=True, help="the fp32 bundle of the naive server")
    flags.add_argument("--environments", type=Path, default=Path("var/peers"))
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    flags.add_argument("--kind", default="VGA")
    flags.add_argument("--concurrency", type=int, default=32)
    flags.add_argument("--seconds", type=float, default=8.0, help="of load a server and round")
    flags.add_argument("--without", nargs="*", default=[], help="servers to leave out")
    arguments = flags.parse_args()
    names = [name for name in (*PACKAGES, "naive", OURS) if name not in arguments.without]
    for name in names:
        if name in PACKAGES:
            install(name, arguments.environments)
    measured: dict[str, list[Outcome]] = {name: [] for name in names}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(server_of(name, arguments)) for name in names}
        for number in range(arguments.rounds):
            start = number % len(names)
            for name in names[start:] + names[:start]:
                measured[name].append(run_load(load_of(servers[name], arguments)))
    rows = [row for name in names for row in rows_of(name, measured[name])]
    report(f"{arguments.kind}, {arguments.concurrency} callers", rows, arguments)


def load_of(server: Running, arguments: argparse.Namespace) -> Load:
    """The same load for everyone."""
    return Load(
        server.address,
        arguments.kind,
        arguments.seconds,
        warm_up_s=2.0,
        concurrency=arguments.concurrency,
        protocol=server.protocol,
    )


def rows_of(name: str, outcomes: Sequence[Outcome]) -> list[Row]:
    """Throughput and the slowest answers, held against ours."""

    def held(what: str) -> str:
        return "" if name == OURS else f"{OURS}, {what}"

    note = next((text for text in map(summary, outcomes) if text), "")
    per_s = tuple(one.per_s for one in outcomes)
    p99 = tuple(one.percentile_ms(99) for one in outcomes)
    return [
        Row(f"{name}, images", "1/s", per_s, held("images"), note=note),
        Row(f"{name}, p99", "ms", p99, held("p99"), more_is_better=False),
    ]


def install(name: str, environments: Path) -> None:
    """An environment for a peer, unless there is one with these packages."""
    environment = environments / name
    finished = environment / ".installed"
    wanted = "\n".join(PACKAGES[name])
    if finished.exists() and finished.read_text(encoding="utf-8") == wanted:
        return
    print(f"installing {name} into {environment}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, *PACKAGES[name]], check=True)
    finished.write_text(wanted, encoding="utf-8")


@contextmanager
def server_of(name: str, arguments: argparse.Namespace) -> Iterator[Running]:
    """One server by name, until the context ends."""
    if name == OURS:
        with our_server(arguments.policies, encoder=arguments.encoder, env=PATIENT) as address:
            yield Running(address)
        return
    if name == "naive":
        with naive_server(arguments.policies, encoder=arguments.reference) as address:
            yield Running(address)
        return
    port = free_port()
    address = f"127.0.0.1:{port}"
    command, env = peer_command(name, arguments, port)
    with running(command, env, None, subprocess.DEVNULL) as process:
        wait_until_it_answers(f"http://{address}/metrics", process)
        yield Running(address, name)


def peer_command(
    name: str, arguments: argparse.Namespace, port: int
) -> tuple[list[str], Mapping[str, str]]:
    """What starts a peer, and what it reads from the environment."""
    binaries = arguments.environments.resolve() / name / "bin"
    if name == "mosec":
        graph = Path(arguments.encoder).resolve() / "image.onnx"
        script = Path(__file__).with_name("peer_mosec.py")
        command = [str(binaries / "python"), str(script), "--port", str(port)]
        return [*command, "--timeout", "60000", "--log-level", "warning"], {
            GRAPH: str(graph),
            "PATH": path_with(binaries),
        }
    command = [str(binaries / "infinity_emb"), "v2", "--model-id", str(arguments.model.resolve())]
    command += ["--served-model-name", "peer", "--port", str(port), "--host", "127.0.0.1"]
    command += ["--engine", "torch", "--device", "cpu", "--batch-size", "8"]
    return [*command, "--no-model-warmup", "--no-bettertransformer"], SILENT


def path_with(binaries: Path) -> str:
    """The search path with a peer's own programs first: mosec looks for its own there."""
    return f"{binaries}{os.pathsep}{os.environ['PATH']}"


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_it_answers(url: str, process: subprocess.Popen[str]) -> None:
    """Both peers have metrics from when they serve."""
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            if httpx.get(url, timeout=5.0).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError(f"{url} did not answer in {START_S:g} s; exit code {process.poll()}")


if __name__ == "__main__":
    main()

"""What traces cost: the real server that keeps some or all of them, against the one without.

Repeated pictures are the hard case: nothing is encoded, so that the spans' share is the largest.
The collector takes everything and does nothing with it, on the same machine.

    python -m benchmarks.tracing [--rounds 5] [--seconds 2] [--ratios 0.01,1]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.variants import OFF, measure_variants, variants_parser

PREFIX = "MODERATION_TRACING__"


def main() -> None:
    """Measure every share of traces that are kept, and a server without any."""
    flags = variants_parser(__doc__)
    flags.add_argument("--ratios", default="0.01,1", help="shares of traces, with commas between")
    arguments = flags.parse_args()
    with _collector() as url:
        traced = {
            f"kept {ratio}": {f"{PREFIX}ENDPOINT": url, f"{PREFIX}SAMPLE_RATIO": ratio}
            for ratio in arguments.ratios.split(",")
        }
        measure_variants("traces", {OFF: {}, **traced}, arguments)


@contextmanager
def _collector() -> Iterator[str]:
    """The address of a process that takes spans and drops them."""
    processes = get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_take_everything, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _take_everything(started: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as server:
        started.send(server.server_port)
        server.serve_forever()


if __name__ == "__main__":
    main()

"""What traces cost: the real server that keeps some or all of them, against the one without.

Repeated pictures are the hard case: nothing is encoded, so that the spans' share is the largest.
The collector takes everything and does nothing with it, on the same machine. Before that, the
processor's time for the spans of one request, which others on the machine do not change.

    python -m benchmarks.tracing [--rounds 5] [--seconds 2] [--ratios 0.01,1]
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.rounds import Row, interleaved
from benchmarks.variants import OFF, measure_variants, variants_parser
from moderation.adapters.otel.sending import TraceSettings, span_tracer
from moderation.core.decision import Decision
from moderation.core.policy import Action
from moderation.service.telemetry import FanOutTelemetry
from moderation.service.tracing import NO_TRACER, Stage, Tracer

PREFIX = "MODERATION_TRACING__"
UNTRACED = "spans, off"
REQUESTS = 500
"""Their spans find room while they wait to be sent."""
DECISION = Decision(
    decision_id="d" * 32,
    content_id="content",
    action=Action.ALLOW,
    profile="default",
    policy_set_version="0" * 64,
    encoder_id="0" * 64,
    decided_at=datetime.now(UTC),
)


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
        rows = _rows_of_spans(url, arguments.rounds)
        measure_variants("traces", {OFF: {}, **traced}, arguments, before=rows)


def _rows_of_spans(url: str, rounds: int) -> list[Row]:
    with ExitStack() as stack:
        tracers: dict[str, Tracer] = {UNTRACED: NO_TRACER}
        for name, ratio in (("spans, not kept", 0.0), ("spans, kept", 1.0)):
            settings = TraceSettings(url, ratio, "benchmark", "0")
            tracers[name] = stack.enter_context(span_tracer(settings, FanOutTelemetry()))
        work = {name: partial(_microseconds, tracer) for name, tracer in tracers.items()}
        values = interleaved(work, rounds)
    return [
        Row(name, "us", one, "" if name == UNTRACED else UNTRACED, more_is_better=False)
        for name, one in values.items()
    ]


def _microseconds(tracer: Tracer) -> float:
    """Of this thread's processor time for the spans of one request."""
    started = time.thread_time()
    for _ in range(REQUESTS):
        span = tracer.begin("/Service/Call", (), "request")
        for stage in (Stage.ADMISSION, Stage.DECODE, Stage.SCORE, Stage.RECORD):
            with tracer.stage(stage):
                pass
        with tracer.stage(Stage.QUEUE) as queue:
            queue.hand_over(Stage.ENCODE, 0.0)
        tracer.decided(DECISION)
        span.end("OK")
    return (time.thread_time() - started) / REQUESTS * 1e6


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

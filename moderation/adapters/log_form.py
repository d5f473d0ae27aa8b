"""The form of the log: one line an event, JSON for machines or colours for people.

Whatever is logged takes the same form and names the request that it happened in: our own
events, and what libraries tell by Python's `logging`.
"""

import logging
import sys
from collections.abc import MutableMapping
from functools import partial
from typing import Any, Literal, TextIO

import structlog
from structlog.types import Processor

from moderation.service.request_context import current_request

LogFormat = Literal["json", "pretty"]
Event = MutableMapping[str, Any]

LIBRARY = "library_message"
"""The event of what others log, whose words may change with their versions."""


def configure_logging(log_format: LogFormat, level: str, *, worker: int | None = None) -> None:
    """Set up the log for the whole process, on what is standard error now.

    `worker` is named in every line of one process of several.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _name_request,
        partial(_name_worker, worker),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = _renderer(log_format)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    _take_over_logging(sys.stderr, least, [_name_event, *shared], renderer)


def _renderer(log_format: LogFormat) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    # Rich tracebacks would show local variables, and with them the bytes of an image.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second set-up takes its place and adds no other."""


def _take_over_logging(
    stream: TextIO, least: int, chain: list[Processor], renderer: Processor
) -> None:
    """Bring what is logged or warned of by Python's own means into the same form."""
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[remove_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Handler)]
    root.addHandler(handler)
    # What libraries have to say below a warning is of use to those who work on them.
    root.setLevel(max(least, logging.WARNING))
    logging.getLogger("moderation").setLevel(least)
    logging.captureWarnings(True)


def _name_request(logger: object, method: str, event: Event) -> Event:
    request = current_request()
    if request.request_id:
        event["request_id"] = request.request_id
    if request.trace_id:
        event["trace_id"] = request.trace_id
    return event


def _name_worker(worker: int | None, logger: object, method: str, event: Event) -> Event:
    if worker is not None:
        event["worker"] = worker
    return event


def _name_event(logger: object, method: str, event: Event) -> Event:
    """Of a record of `logging`: the event that it names, or that a library has spoken."""
    record: logging.LogRecord = event["_record"]
    event["message"] = event["event"]
    event["event"] = getattr(record, "event", LIBRARY)
    event["logger"] = record.name
    return event

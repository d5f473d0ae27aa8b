"""One form for every line, whoever logs it, with the request that it belongs to."""

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr
from contextvars import Context, copy_context
from io import StringIO
from typing import Any

import pytest
import structlog

from moderation.adapters.log_form import configure_logging
from moderation.service.request_context import RequestContext, current_request, work_for

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
ours = logging.getLogger("moderation.somewhere")
theirs = logging.getLogger("library.somewhere")


@pytest.fixture
def written() -> Iterator[StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = StringIO()
    with redirect_stderr(written):
        configure_logging("json", "info")
    yield written
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_what_is_logged_by_pythons_own_means_has_the_same_form(written: StringIO) -> None:
    ours.warning("left out: %s", "why", extra={"event": "recent_left_out"})

    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "recent_left_out",
        "level": "warning",
        "message": "left out: why",
        "logger": "moderation.somewhere",
    }


def test_a_library_speaks_in_one_event_and_only_of_what_went_wrong(written: StringIO) -> None:
    theirs.info("hello")
    theirs.error("two\nlines")

    (line,) = lines(written)
    assert (line["event"], line["message"]) == ("library_message", "two\nlines")
    assert len(written.getvalue().splitlines()) == 1


def test_a_warning_of_python_is_a_line_too(written: StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("use another", UserWarning, stacklevel=1)

    (line,) = lines(written)
    assert (line["event"], line["logger"]) == ("library_message", "py.warnings")


def test_an_exception_is_in_the_line_without_local_variables(written: StringIO) -> None:
    image = b"the bytes of a caller" + b"!"
    try:
        raise RuntimeError(f"{len(image)} bytes")
    except RuntimeError:
        ours.exception("failed", extra={"event": "telemetry_failed"})

    (line,) = lines(written)
    assert "RuntimeError: 22 bytes" in line["exception"]
    assert "the bytes of a caller!" not in written.getvalue()


def test_a_second_set_up_takes_the_place_of_the_first(written: StringIO) -> None:
    with redirect_stderr(StringIO()) as second:
        configure_logging("pretty", "info")
    ours.warning("once", extra={"event": "once"})

    assert written.getvalue() == ""
    assert second.getvalue().count("once") >= 1
    assert len(second.getvalue().splitlines()) == 1


async def test_every_line_of_a_request_names_it_in_tasks_and_threads_too(
    written: StringIO,
) -> None:
    log = structlog.get_logger()

    async def request(name: str) -> None:
        work_for(RequestContext(name, TRACE_ID))
        log.info("begun")
        await asyncio.create_task(task())
        await asyncio.to_thread(ours.warning, "thread", extra={"event": "on_thread"})
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, copy_context().run, ours.warning, "pool")

    async def task() -> None:
        await asyncio.sleep(0)
        log.info("in_task")

    await asyncio.gather(*(asyncio.create_task(request(name)) for name in ("a", "b")))
    log.info("outside")

    told = [
        (line["event"], line.get("request_id"), line.get("trace_id")) for line in lines(written)
    ]
    assert told[-1] == ("outside", None, None)
    for name in ("a", "b"):
        events = [event for event, request_id, _ in told if request_id == name]
        assert events == ["begun", "in_task", "on_thread", "library_message"]
    assert {trace_id for _, request_id, trace_id in told if request_id} == {TRACE_ID}


def test_without_a_request_there_is_none_to_name() -> None:
    assert Context().run(current_request) == RequestContext()

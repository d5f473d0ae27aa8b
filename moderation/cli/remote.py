"""Has pictures judged by a server, through the client library."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from rich.table import Table

from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import printable, say, say_table
from moderation.cli.pictures import content_ids, read_picture
from moderation.cli.report import Judged, as_dict, report
from moderation.client import (
    Action,
    AsyncModerationClient,
    CallRefused,
    ClientError,
    InvalidRequest,
    Item,
    Result,
    ServiceUnavailable,
    Tls,
    TlsUnusable,
)
from moderation.client.channel import MAX_MESSAGE_BYTES
from moderation.settings import api_key_from_environment
from moderation.v1 import moderation_pb2 as pb

HINT_BY_CODE: Mapping[grpc.StatusCode, str] = {
    grpc.StatusCode.UNAVAILABLE: (
        "; is a service running there? `moderation serve` starts one, --address names another, "
        "--ca is for one that speaks TLS, --cert and --key for one that asks for a certificate"
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "; whatever listens there gave no answer in time: a server that hangs, or one that needs "
        "more than --timeout"
    ),
    grpc.StatusCode.UNAUTHENTICATED: (
        "; here, --api-key-file or MODERATION_API_KEY; the server's log says what was wrong with it"
    ),
    grpc.StatusCode.PERMISSION_DENIED: "; `moderation key list` shows what it allows",
}

EXIT_BY_ERROR: Mapping[type[ClientError], Exit] = {
    InvalidRequest: Exit.USAGE,
    CallRefused: Exit.NO_PERMISSION,
    ServiceUnavailable: Exit.UNAVAILABLE,
}

ORIGIN: Mapping[int, str] = {
    pb.POLICY_SET_ORIGIN_SOURCE: "{source}",
    pb.POLICY_SET_ORIGIN_KEPT: "the last activation, kept on disk",
    pb.POLICY_SET_ORIGIN_ROLLBACK: "a rollback, until a change of {source}",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """Whom to ask, for how long, and what to do without an answer."""

    address: str
    timeout_s: float
    on_unavailable: str = "review"
    tls: Tls | None = None
    api_key: str = field(default="", repr=False)
    plain_text_key: bool = False

    def client(self) -> AsyncModerationClient:
        """A client that is not connected yet; raises CommandError."""
        try:
            return AsyncModerationClient(
                self.address,
                timeout_s=self.timeout_s,
                on_unavailable=Action[self.on_unavailable.upper()],
                credentials=self.tls,
                api_key=self.api_key,
                plain_text_key=self.plain_text_key,
            )
        except ValueError as error:
            told = str(error).replace("plain_text_key=True", "--plain-text-key")
            raise CommandError(told.replace("credentials=Tls(...)", "--ca"), Exit.USAGE) from error


def api_key_of(file: Path | None) -> str:
    """From a file, or else from the environment; empty for none. Raises CommandError."""
    if file is None:
        return api_key_from_environment()
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not ASCII"
        raise CommandError(f"{file}: the API key cannot be read: {reason}", Exit.CONFIG) from error


def tls_of(ca: Path | None, cert: Path | None, key: Path | None, server_name: str) -> Tls | None:
    """From flags; None for plain text. Raises CommandError."""
    if not (ca or cert or key or server_name):
        return None
    try:
        tls = Tls(ca, cert, key, server_name)
        tls.credentials()
    except ValueError as error:
        raise CommandError("--cert and --key belong together; give both", Exit.USAGE) from error
    except TlsUnusable as error:
        raise CommandError(str(error), Exit.CONFIG) from error
    return tls


async def judge_pictures(
    pictures: Sequence[Path],
    connection: Connection,
    *,
    profile: str,
    all_verdicts: bool,
    as_json: bool,
) -> Exit:
    """Send, report; raises CommandError."""
    options = pb.ModerateOptions(profile=profile, include_all_verdicts=all_verdicts)
    async with (
        connection.client() as client,
        aclosing(judged_by_server(client, pictures, options)) as judged,
    ):
        return await report(judged, pictures, as_json=as_json, all_verdicts=all_verdicts)


async def judged_by_server(
    client: AsyncModerationClient, pictures: Sequence[Path], options: pb.ModerateOptions
) -> AsyncGenerator[Judged, None]:
    """Each picture's outcome as soon as it is known; what cannot be read comes last."""
    unreadable: list[Judged] = []
    ids = content_ids(pictures)
    place_by_id = {one: place for place, one in enumerate(ids)}
    results = client.moderate_stream(
        _read(pictures, ids, unreadable),
        profile=options.profile,
        include_all_verdicts=options.include_all_verdicts,
    )
    async with aclosing(results):
        async for result in results:
            yield _judged(result, place_by_id[result.content_id])
    for one in unreadable:
        yield one


async def show_status(connection: Connection, *, as_json: bool) -> Exit:
    """Ask, show; raises CommandError."""
    async with connection.client() as client:
        try:
            answer = await client.status()
        except ClientError as error:
            raise _command_error(error, f"{connection.address}: ") from error
    if as_json:
        say(json.dumps(as_dict(answer)))
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, value in status_rows(answer):
            table.add_row(name, printable(value))
        say_table(table)
    return Exit.ALLOW if answer.serving else Exit.UNAVAILABLE


def status_rows(answer: pb.GetStatusResponse) -> Iterator[tuple[str, str]]:
    """The status for people."""
    policies, encoder, build = answer.policy_set, answer.encoder, answer.build
    yield "serving", "yes" if answer.serving else "no"
    yield "started", answer.started_at.ToJsonString()
    yield from _worker_rows(answer)
    yield "policies", f"{policies.policies}, version {policies.version[:12] or 'none'}"
    if policies.HasField("loaded_at"):
        yield "loaded", f"{policies.loaded_at.ToJsonString()}, {policies.age.seconds} s ago"
    yield from _source_rows(policies)
    for policy_id in policies.stale_calibrations:
        yield "not calibrated", f"{policy_id} was reworded after its calibration"
    yield "last reload", "failed" if policies.last_reload_errors else "good"
    for problem in policies.last_reload_errors:
        yield "", problem
    yield "encoder", f"{encoder.name} ({encoder.family}, {encoder.dimensions} dimensions)"
    yield "encoder id", encoder.encoder_id
    yield "device", encoder.device
    if encoder.notice:
        yield "notice", encoder.notice
    if answer.HasField("decision_log"):
        yield from _log_rows(answer.decision_log)
    yield "build", f"moderation {build.version}, Python {build.python_version}"
    yield "runtime", f"onnxruntime {build.onnxruntime_version}"


def _source_rows(policies: pb.PolicySetStatus) -> Iterator[tuple[str, str]]:
    source = f"the package {policies.package}" if policies.package else "the policy files"
    if origin := ORIGIN.get(policies.origin):
        yield "policies from", origin.format(source=source)
    if policies.stale:
        confirmed = policies.confirmed_at.ToJsonString()
        yield "stale", f"this set was last confirmed by {source} at {confirmed}"


def _worker_rows(answer: pb.GetStatusResponse) -> Iterator[tuple[str, str]]:
    if answer.HasField("worker"):
        yield "answered by", f"worker {answer.worker.index} of 0 to {answer.worker.count - 1}"


def _log_rows(log: pb.DecisionLogStatus) -> Iterator[tuple[str, str]]:
    yield "decision log", f"{log.records} records since the start"
    if log.lost:
        yield "", f"{log.lost} answers were given without a record"
    if log.problem:
        what_follows = "there are no answers" if log.mandatory else "answers are given without"
        since = log.failing_since.ToJsonString()
        yield "", f"fails since {since}, {what_follows}: {log.problem}"


async def _read(
    pictures: Sequence[Path], ids: Sequence[str], unreadable: list[Judged]
) -> AsyncIterator[Item]:
    for place, picture in enumerate(pictures):
        try:
            image = await asyncio.to_thread(read_picture, picture, max_bytes=MAX_MESSAGE_BYTES)
        except OSError as error:
            unreadable.append(Judged(place, problem=f"cannot be read: {error.strerror}"))
        else:
            yield Item(image, ids[place])


def _judged(result: Result, place: int) -> Judged:
    error = result.error
    if error is None:
        return Judged(place, result.decision)
    if error.field.startswith("content."):
        return Judged(place, problem=str(error))
    raise _command_error(error)


def _command_error(error: ClientError, where: str = "") -> CommandError:
    hint = HINT_BY_CODE.get(error.code, "")
    return CommandError(f"{where}{error}{hint}", EXIT_BY_ERROR[type(error)])

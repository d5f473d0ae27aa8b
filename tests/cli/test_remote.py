"""`moderation client` and `moderation status` against a real server with scripted answers."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from moderation.cli.remote import judged_by_server, status_rows
from moderation.client import AsyncModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.cli.command import moderation, started
from tests.client.scripted import Context, ScriptedService, dead_address, serving
from tests.client.test_streaming import Requests, Responses, StreamingService, answer_error

BAD_PROFILE = pb.ItemError(code=3, message="unknown name 'x'", field="options.profile")
EMPTY = pb.ItemError(code=3, message="is empty", field="content.image")


async def by_content(requests: Requests, context: Context) -> Responses:
    """Decides by what the picture says, as no real encoder would."""
    async for request in requests:
        content_id = request.content.content_id
        if not request.content.image:
            yield answer_error(content_id, EMPTY)
            continue
        action = f"ACTION_{request.content.image.decode().upper()}"
        verdict = pb.Verdict(
            policy_id="weapons",
            action=action,
            score=0.87,
            review_threshold=0.5,
            block_threshold=0.8,
            phrases=[pb.PhraseMatch(text=f"under {request.options.profile or 'default'}")],
        )
        decision = pb.Decision(content_id=content_id, action=action, verdicts=[verdict])
        yield pb.ModerateStreamResponse(
            result=pb.ItemResult(content_id=content_id, decision=decision)
        )


def a_folder(tmp_path: Path, **content_by_name: str) -> Path:
    for name, content in content_by_name.items():
        (tmp_path / f"{name}.jpg").write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("contents", "exit_code"),
    [(["allow"], 0), (["allow", "review"], 1), (["review", "block", "allow"], 2)],
)
async def test_the_strictest_decision_is_the_exit_code(
    tmp_path: Path, contents: list[str], exit_code: int
) -> None:
    folder = a_folder(tmp_path, **{f"p{n}": content for n, content in enumerate(contents)})

    async with serving(StreamingService(by_content)) as address:
        ended = await moderation("client", "--address", address, folder)

    assert ended.exit_code == exit_code
    assert ended.err == ""
    for number, content in enumerate(contents):
        assert f"p{number}.jpg" in ended.out
        assert content in ended.out


async def test_json_goes_to_programs_a_line_each(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, a="allow", b="block")

    async with serving(StreamingService(by_content)) as address:
        ended = await moderation(
            "client", "--address", address, "--json", "--profile", "kids", folder
        )

    lines = {Path(line["picture"]).name: line for line in map(json.loads, ended.out.splitlines())}
    assert {name: line["action"] for name, line in lines.items()} == {
        "a.jpg": "ACTION_ALLOW",
        "b.jpg": "ACTION_BLOCK",
    }
    assert lines["a.jpg"]["verdicts"][0]["phrases"][0]["text"] == "under kids"


async def test_an_empty_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, a="allow", empty="", z="review")

    async with serving(StreamingService(by_content)) as address:
        ended = await moderation("client", "--address", address, folder)

    assert ended.exit_code == 66
    assert "content.image: is empty" in ended.out
    assert "allow" in ended.out
    assert "review" in ended.out


async def test_a_picture_that_is_gone_by_now_does_not_stop_the_others(tmp_path: Path) -> None:
    gone, there = tmp_path / "gone.jpg", tmp_path / "there.jpg"
    there.write_text("allow")

    async with (
        serving(StreamingService(by_content)) as address,
        AsyncModerationClient(address) as client,
    ):
        judged = judged_by_server(client, [gone, there], pb.ModerateOptions())
        outcomes = {one.place: one async for one in judged}

    assert outcomes[0].problem == "cannot be read: No such file or directory"
    assert outcomes[1].decision is not None
    assert outcomes[1].decision.action == pb.ACTION_ALLOW


async def test_a_wrong_profile_is_told_once(tmp_path: Path) -> None:
    async def refuse(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            yield answer_error(request.content.content_id, BAD_PROFILE)

    folder = a_folder(tmp_path, a="allow", b="allow")
    async with serving(StreamingService(refuse)) as address:
        ended = await moderation("client", "--address", address, "--profile", "x", folder)

    assert ended.exit_code == 64
    (told,) = ended.err.splitlines()
    assert told.startswith("moderation: options.profile: unknown name 'x' (request ")


@pytest.mark.parametrize(("posture", "exit_code"), [("allow", 0), ("review", 1), ("block", 2)])
async def test_without_a_server_the_posture_decides(
    tmp_path: Path, posture: str, exit_code: int
) -> None:
    folder = a_folder(tmp_path, a="allow")

    ended = await moderation(
        "client", "--timeout", "2", "--address", dead_address(), "--on-unavailable", posture, folder
    )

    assert ended.exit_code == exit_code
    assert "service_unavailable" in ended.out


async def test_a_terminal_sees_the_progress_and_a_pipe_does_not(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, a="allow", b="allow")
    reading, terminal = os.openpty()

    async with serving(StreamingService(by_content)) as address:
        process = await started("client", "--address", address, folder, stderr=terminal)
        out, _ = await process.communicate()
    seen = os.read(reading, 10_000)
    os.close(terminal)
    os.close(reading)

    assert b"judging" in seen
    assert b"2/2" in seen
    assert b"judging" not in out


async def test_an_interrupted_command_is_no_decision(tmp_path: Path) -> None:
    picture = a_folder(tmp_path, a="allow") / "a.jpg"
    asked = asyncio.Event()

    async def never(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            asked.set()
            await asyncio.Event().wait()
            yield answer_error(request.content.content_id, EMPTY)

    async with serving(StreamingService(never)) as address:
        process = await started("client", "--address", address, picture)
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()

    assert process.returncode == 130
    assert out == b""


class ReportingService(ScriptedService):
    """Says of itself what it is given."""

    def __init__(self, answer: pb.GetStatusResponse) -> None:
        super().__init__()
        self._answer = answer

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        return self._answer


def a_status(*, serving: bool) -> pb.GetStatusResponse:
    status = pb.GetStatusResponse(
        serving=serving,
        policy_set=pb.PolicySetStatus(
            version="c0ffee" * 10,
            policies=14,
            age=Duration(seconds=42),
            last_reload_errors=["policies/x.yaml:14:7: unknown key \x1b[31m"],
        ),
        encoder=pb.EncoderStatus(name="starter", family="clip", dimensions=512, notice="small"),
        build=pb.BuildInfo(version="0.1.0", python_version="3.11.2"),
    )
    status.policy_set.loaded_at.GetCurrentTime()
    return status


async def test_status_tells_what_runs_and_what_went_wrong() -> None:
    async with serving(ReportingService(a_status(serving=True))) as address:
        ended = await moderation("status", "--address", address)

    assert ended.exit_code == 0
    assert "14, version c0ffeec0ffee" in ended.out
    assert "42 s ago" in ended.out
    assert "policies/x.yaml:14:7: unknown key \N{REPLACEMENT CHARACTER}[31m" in ended.out
    assert "starter (clip, 512 dimensions)" in ended.out
    assert "small" in ended.out


async def test_status_tells_where_the_policies_come_from_and_what_is_doubtful() -> None:
    answer = a_status(serving=True)
    answer.policy_set.origin = pb.POLICY_SET_ORIGIN_KEPT
    answer.policy_set.stale = True
    answer.policy_set.confirmed_at.FromJsonString("2026-03-01T12:00:00Z")
    answer.policy_set.stale_calibrations.append("weapons")

    async with serving(ReportingService(answer)) as address:
        ended = await moderation("status", "--address", address)

    assert "the last activation, kept on disk" in ended.out
    assert "this set was last confirmed by the policy files at 2026-03-01T12:00:00Z" in ended.out
    assert "weapons was reworded after its calibration" in ended.out


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (pb.POLICY_SET_ORIGIN_SOURCE, "the package https://example.org/p.tar.gz"),
        (
            pb.POLICY_SET_ORIGIN_ROLLBACK,
            "a rollback, until a change of the package https://example.org/p.tar.gz",
        ),
    ],
)
def test_status_names_the_package_that_policies_come_from(
    origin: pb.PolicySetOrigin, told: str
) -> None:
    answer = a_status(serving=True)
    answer.policy_set.origin = origin
    answer.policy_set.package = "https://example.org/p.tar.gz"

    assert dict(status_rows(answer))["policies from"] == told


async def test_status_of_a_server_that_does_not_serve_is_an_error_with_an_answer() -> None:
    async with serving(ReportingService(a_status(serving=False))) as address:
        ended = await moderation("status", "--address", address, "--json")

    assert ended.exit_code == 69
    answer = json.loads(ended.out)
    assert "serving" in answer
    assert answer["serving"] is False
    assert answer["policy_set"]["policies"] == 14


async def test_status_of_nobody_is_an_error() -> None:
    address = dead_address()

    ended = await moderation("status", "--address", address, "--timeout", "2")

    assert ended.exit_code == 69
    assert ended.out == ""
    assert ended.err.startswith(f"moderation: {address}: UNAVAILABLE")
    assert "is a service running there?" in ended.err
    assert "--ca is for one that speaks TLS" in ended.err


async def test_status_of_a_server_that_hangs_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        address = f"127.0.0.1:{hangs.getsockname()[1]}"
        ended = await moderation("status", "--address", address, "--timeout", "0.3")

    assert (ended.exit_code, ended.out) == (69, "")
    assert ended.err.startswith(f"moderation: {address}: DEADLINE_EXCEEDED")
    assert "a server that hangs" in ended.err


async def test_a_server_that_refuses_the_caller_is_told(tmp_path: Path) -> None:
    class RefusingService(StreamingService):
        async def GetStatus(
            self, request: pb.GetStatusRequest, context: Context
        ) -> pb.GetStatusResponse:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no key")

    async with serving(RefusingService(by_content)) as address:
        ended = await moderation("status", "--address", address)

    assert ended.exit_code == 77
    assert "no key" in ended.err

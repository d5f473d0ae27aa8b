"""Every error has one translation, and none tells more than the caller may know."""

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode

from moderation.adapters.grpc.status import (
    PUSHBACK_KEY,
    STATUS,
    Refusal,
    refusal_for,
    trailers_of,
)
from moderation.core.errors import (
    DeadlineExceeded,
    EncodingFailed,
    InvalidRequest,
    ModerationError,
    NotReady,
    Overloaded,
    UnknownName,
)


def subclasses(of: type[ModerationError]) -> set[type[ModerationError]]:
    below = {child for direct in of.__subclasses__() for child in subclasses(direct)}
    return below | set(of.__subclasses__())


def no_bug(error: BaseException) -> str:
    raise AssertionError(f"reported as a bug: {error!r}")


def test_every_domain_error_has_a_status() -> None:
    assert subclasses(ModerationError) == STATUS.keys()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("content.image", "is empty"), StatusCode.INVALID_ARGUMENT),
        (UnknownName("options.profile", "unknown name 'x'"), StatusCode.INVALID_ARGUMENT),
        (Overloaded("no room", retry_after_s=1.5), StatusCode.RESOURCE_EXHAUSTED),
        (DeadlineExceeded("too late"), StatusCode.DEADLINE_EXCEEDED),
        (NotReady("warming up"), StatusCode.UNAVAILABLE),
    ],
)
def test_an_expected_error_is_told_as_it_is(error: ModerationError, code: StatusCode) -> None:
    refusal = refusal_for(error, no_bug)

    assert (refusal.code, refusal.message) == (code, str(error))


@pytest.mark.parametrize("error", [RuntimeError("secret"), EncodingFailed("secret")])
def test_a_bug_is_told_by_its_incident_id_only(error: Exception) -> None:
    reported: list[BaseException] = []

    def report(bug: BaseException) -> str:
        reported.append(bug)
        return "4711"

    refusal = refusal_for(error, report)

    assert refusal == Refusal(StatusCode.INTERNAL, "internal error; incident 4711")
    assert reported == [error]


def test_a_wrong_field_is_named_in_the_details() -> None:
    status = refusal_for(InvalidRequest("content.image", "is empty"), no_bug).to_status()

    (detail,) = status.details
    bad_request = error_details_pb2.BadRequest()
    assert detail.Unpack(bad_request)
    assert [violation.field for violation in bad_request.field_violations] == ["content.image"]


def test_an_overload_says_when_to_try_again_in_both_ways_that_clients_read() -> None:
    refusal = refusal_for(Overloaded("no room", retry_after_s=1.5), no_bug)

    (detail,) = refusal.to_status().details
    retry = error_details_pb2.RetryInfo()
    assert detail.Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert (PUSHBACK_KEY, "1500") in trailers_of(refusal)
    assert dict(trailers_of(refusal))["grpc-status-details-bin"] == (
        refusal.to_status().SerializeToString()
    )


def test_the_trailers_of_one_refusal_are_not_those_of_another() -> None:
    soon, late, wrong = (
        refusal_for(error, no_bug)
        for error in (
            Overloaded("no room", retry_after_s=1.5),
            Overloaded("no room", retry_after_s=2.0),
            InvalidRequest("content", "is empty"),
        )
    )

    assert trailers_of(soon) == trailers_of(soon)
    assert len({trailers_of(soon), trailers_of(late), trailers_of(wrong)}) == 3
    assert PUSHBACK_KEY not in dict(trailers_of(wrong))


def test_an_item_error_carries_what_an_rpc_would_have_said() -> None:
    wrong = refusal_for(InvalidRequest("content.image", "is empty"), no_bug).to_item_error()
    overload = refusal_for(Overloaded("no room", retry_after_s=0.25), no_bug).to_item_error()

    assert (wrong.code, wrong.field) == (3, "content.image")
    assert not wrong.HasField("retry_after")
    assert overload.code == 8
    assert overload.retry_after.ToMilliseconds() == 250

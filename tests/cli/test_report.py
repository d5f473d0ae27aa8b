import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from moderation.cli.exits import Exit
from moderation.cli.report import Judged, compare, exit_of, json_line, report, rows
from moderation.v1 import moderation_pb2 as pb

PHOTO = Path("photo.jpg")


def a_verdict(policy_id: str = "weapons", **fields: object) -> pb.Verdict:
    verdict = pb.Verdict(
        policy_id=policy_id,
        action=pb.ACTION_BLOCK,
        score=0.87,
        review_threshold=0.5,
        block_threshold=0.8,
        mode=pb.MODE_ENFORCE,
        phrases=[pb.PhraseMatch(text="a gun", similarity=0.3)],
    )
    verdict.MergeFrom(pb.Verdict(**fields))  # type: ignore[arg-type]  # any of its fields
    return verdict


def a_decision(*verdicts: pb.Verdict, action: pb.Action = pb.ACTION_BLOCK) -> pb.Decision:
    return pb.Decision(
        action=action,
        deciding_policy_id=verdicts[0].policy_id if verdicts and action > 1 else "",
        verdicts=verdicts,
        timings=pb.Timings(total=Duration(nanos=12_400_000)),
    )


def a_failure(code: pb.FailureCode, message: str) -> pb.Decision:
    failure = pb.Failure(code=code, message=message)
    return pb.Decision(action=pb.ACTION_REVIEW, failure=failure)


def the_rows(judged: Judged, *, all_verdicts: bool = False) -> list[tuple[str, ...]]:
    return list(rows(judged, PHOTO, all_verdicts=all_verdicts))


def test_a_row_tells_the_decision_and_its_reason() -> None:
    assert the_rows(Judged(0, a_decision(a_verdict()))) == [
        ("photo.jpg", "block", "weapons", "0.87 >= 0.80", "a gun", "12 ms")
    ]


def test_an_allow_shows_what_came_nearest() -> None:
    nearest = a_verdict(action=pb.ACTION_ALLOW, score=0.31)
    decision = a_decision(nearest, action=pb.ACTION_ALLOW)
    decision.verdicts[0].action = pb.ACTION_ALLOW

    assert the_rows(Judged(0, decision)) == [
        ("photo.jpg", "allow", "weapons", "0.31 < 0.50", "a gun", "12 ms")
    ]


def test_a_shadow_verdict_is_not_shown_as_the_one_that_decided() -> None:
    shadow = a_verdict("gambling", mode=pb.MODE_SHADOW)
    decision = a_decision(shadow, a_verdict("weapons"), action=pb.ACTION_REVIEW)
    decision.deciding_policy_id = "weapons"

    assert the_rows(Judged(0, decision))[0][2] == "weapons"


def test_with_every_verdict_the_others_follow_under_their_own_action() -> None:
    shadow = a_verdict("gambling", mode=pb.MODE_SHADOW)
    quiet = a_verdict("alcohol", score=0.1, action=pb.ACTION_ALLOW)
    decision = a_decision(a_verdict("weapons"), shadow, quiet)

    shown = the_rows(Judged(0, decision), all_verdicts=True)

    assert [row[:3] for row in shown] == [
        ("photo.jpg", "block", "weapons"),
        ("", "block", "gambling (shadow)"),
        ("", "allow", "alcohol"),
    ]


def test_a_failure_stands_in_the_place_of_the_policy() -> None:
    judged = Judged(0, a_failure(pb.FAILURE_CODE_TRUNCATED, "the image ends early"))

    assert the_rows(judged)[0][1:3] == ("review", "truncated: the image ends early")


def test_a_decision_without_verdicts_is_shown_all_the_same() -> None:
    bare = a_decision(action=pb.ACTION_REVIEW)

    assert the_rows(Judged(0, bare)) == [("photo.jpg", "review", "", "", "", "12 ms")]


def test_a_picture_without_a_decision_tells_what_hindered_it() -> None:
    judged = Judged(0, problem="cannot be read: Permission denied")

    assert the_rows(judged)[0][:3] == ("photo.jpg", "error", "cannot be read: Permission denied")


def test_a_name_cannot_steer_the_terminal() -> None:
    hostile = Path("\x1b]0;owned\x07[red]\udcff.jpg")

    (row,) = rows(Judged(0, a_decision()), hostile, all_verdicts=False)

    assert row[0] == "\N{REPLACEMENT CHARACTER}]0;owned" + "{0}[red]{0}.jpg".format(
        "\N{REPLACEMENT CHARACTER}"
    )


@pytest.mark.parametrize(
    ("score", "threshold", "expected"),
    [
        (0.87, 0.8, "0.87 >= 0.80"),
        (0.31, 0.8, "0.31 < 0.80"),
        (0.8, 0.8, "0.80 >= 0.80"),
        (0.7999, 0.8, "0.7999 < 0.8000"),
        (0.8 - 1e-12, 0.8, "0.800000 < 0.800000"),
    ],
)
def test_scores_have_the_digits_that_show_the_difference(
    score: float, threshold: float, expected: str
) -> None:
    assert compare(score, threshold) == expected


def test_a_json_line_is_the_decision_and_its_picture() -> None:
    line = json.loads(json_line(Judged(0, a_decision(a_verdict())), PHOTO))

    assert line["picture"] == "photo.jpg"
    assert line["action"] == "ACTION_BLOCK"
    assert line["deciding_policy_id"] == "weapons"
    assert line["verdicts"][0]["score"] == 0.87
    assert line["verdicts"][0]["calibrated"] is False


def test_a_json_line_without_a_decision_has_an_error_in_its_place() -> None:
    line = json.loads(json_line(Judged(0, problem="cannot be read"), Path("\udcff.jpg")))

    assert line == {"picture": "\udcff.jpg", "error": "cannot be read"}


def test_a_picture_that_went_unjudged_outweighs_every_decision() -> None:
    allowed, blocked = a_decision(action=pb.ACTION_ALLOW), a_decision(action=pb.ACTION_BLOCK)

    assert exit_of([Judged(0, allowed), Judged(1, blocked)]) is Exit.BLOCK
    assert exit_of([Judged(0, blocked), Judged(1, problem="gone")]) is Exit.NO_INPUT
    assert exit_of([Judged(0, problem="gone"), Judged(1, exit_code=Exit.SOFTWARE)]) == 70


async def out_of_order() -> AsyncIterator[Judged]:
    yield Judged(1, a_decision(a_verdict("second")))
    yield Judged(0, a_decision(a_verdict("first"), action=pb.ACTION_REVIEW))


async def test_the_table_keeps_the_order_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [Path("a.jpg"), Path("b.jpg")]

    code = await report(out_of_order(), pictures, as_json=False, all_verdicts=False)

    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["picture", "decision", "policy", "score", "best", "phrase", "time"]
    assert first.split()[:3] == ["a.jpg", "review", "first"]
    assert second.split()[:3] == ["b.jpg", "block", "second"]
    assert code is Exit.BLOCK


async def test_json_lines_come_as_pictures_are_judged(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [Path("a.jpg"), Path("b.jpg")]

    code = await report(out_of_order(), pictures, as_json=True, all_verdicts=False)

    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["picture"] for line in lines] == ["b.jpg", "a.jpg"]
    assert captured.err == ""  # the progress bar is for terminals only
    assert code is Exit.BLOCK


async def test_a_long_name_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 150 + ".jpg"

    async def one() -> AsyncIterator[Judged]:
        yield Judged(0, a_decision(a_verdict()))

    await report(one(), [Path(name)], as_json=False, all_verdicts=False)

    assert name in capsys.readouterr().out

"""The log names who was refused, and cannot be flooded by those who are."""

import pytest
from structlog.testing import capture_logs

from moderation.adapters.access_log import QUIET_S, AccessLog
from moderation.core.errors import AccessReason, PermissionDenied, Problem, Unauthenticated

METHOD = "/service/Method"


class Clock:
    """Stands still until it is told to move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_refusal_names_reason_key_and_method() -> None:
    with capture_logs() as events:
        AccessLog().access_refused(PermissionDenied(AccessReason.WRONG_ROLE, "shop-1"), METHOD)

    assert events == [
        {
            "event": "access_refused",
            "log_level": "warning",
            "reason": "wrong_role",
            "credential": "shop-1",
            "method": METHOD,
        }
    ]


def test_the_same_refusal_is_told_once_in_a_while() -> None:
    clock = Clock()
    with capture_logs() as events:
        log = AccessLog(clock)
        for clock.now in (0.0, QUIET_S / 2, QUIET_S, QUIET_S + 1):
            log.access_refused(PermissionDenied(AccessReason.WRONG_ROLE, "shop-1"), METHOD)
            log.access_refused(PermissionDenied(AccessReason.WRONG_ROLE, "shop-2"), METHOD)

    assert [one["credential"] for one in events] == ["shop-1", "shop-2"] * 2


def test_names_that_nobody_gave_away_do_not_fill_the_log() -> None:
    with capture_logs() as events:
        log = AccessLog(Clock())
        for number in range(100):
            log.access_refused(Unauthenticated(AccessReason.UNKNOWN, f"guess-{number}"), METHOD)
        log.access_refused(Unauthenticated(AccessReason.NO_CREDENTIAL), METHOD)

    told = [(one["reason"], one["credential"]) for one in events]
    assert told == [("unknown", "guess-0"), ("no_credential", None)]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.adapters.access_log.MAX_TOLD", 2)
    with capture_logs() as events:
        log = AccessLog(Clock())
        for name in ("a", "b", "c", "a"):
            log.access_refused(Unauthenticated(AccessReason.REVOKED, name), METHOD)

    assert [one["credential"] for one in events] == ["a", "b", "c", "a"]


def test_keys_and_who_could_read_them_are_told() -> None:
    with capture_logs() as events:
        log = AccessLog()
        log.keys_loaded(tenants=1, keys=2, certificates=0, is_exposed=False)
        log.keys_loaded(tenants=1, keys=2, certificates=3, is_exposed=True)
        log.keys_rejected([Problem("keys.yaml", 3, 1, "is wrong")])
        log.signers_loaded(2)
        log.signers_rejected([Problem("jwks.json", 0, 0, "is wrong")])
        log.open_to_everyone("0.0.0.0")

    assert [one["event"] for one in events] == [
        "keys_loaded",
        "keys_loaded",
        "keys_file_readable_by_everybody",
        "keys_rejected",
        "signers_loaded",
        "signers_rejected",
        "open_to_everyone",
    ]
    assert events[1]["certificates"] == 3
    assert events[3]["problem"] == "keys.yaml:3:1: is wrong"

"""Certificates that are missing, broken or about to expire."""

from pathlib import Path

import pytest

from moderation.cli.examination.certificates import look
from moderation.cli.examination.findings import Level
from moderation.settings import Settings
from tests.certificates import Authority, Folder, put
from tests.cli.examination.patients import levels, settings_of, worst


def patient(path: Path, *, days: float = 60, authority_days: float = 90) -> Settings:
    """One with mutual TLS."""
    folder, authority = Folder(path), Authority(days=authority_days)
    folder.hold(authority.issue(days=days))
    put(folder.client_ca, authority.pem)
    return settings_of(
        tls__certificate_file=str(folder.certificate),
        tls__key_file=str(folder.key),
        tls__client_certificates="require",
        tls__client_ca_file=str(folder.client_ca),
    )


def test_plain_text_has_no_certificates_to_look_at() -> None:
    assert levels(look(settings_of())) == [Level.OK]


def test_good_certificates_are_told_with_their_end(tmp_path: Path) -> None:
    found = list(look(patient(tmp_path)))

    assert levels(found) == [Level.OK, Level.OK]
    assert all(one.what.startswith("is valid until 20") for one in found)


@pytest.mark.parametrize(
    ("days", "authority_days", "where"),
    [(10, 90, "tls.certificate_file"), (60, 10, "tls.client_ca_file")],
)
def test_one_that_expires_soon_is_to_be_renewed(
    days: float, authority_days: float, where: str, tmp_path: Path
) -> None:
    finding = worst(look(patient(tmp_path, days=days, authority_days=authority_days)))

    assert finding.level is Level.WARN
    assert finding.where.startswith(where)


def test_one_with_which_no_server_starts_fails(tmp_path: Path) -> None:
    finding = worst(look(patient(tmp_path, days=-1)))

    assert finding.level is Level.FAIL
    assert f"{tmp_path}/tls.crt: expired on 20" in finding.what

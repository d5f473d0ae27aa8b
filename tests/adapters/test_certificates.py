"""What is wrong with certificate files, and how replaced ones are taken over: with real files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from moderation.adapters.certificates import (
    MAX_FILE_BYTES,
    CertificateFiles,
    CertificateStore,
    CertificateUnusable,
)
from tests.adapters.users import an_open_directory, an_ordinary_user
from tests.certificates import DAY, Authority, Folder, a_key, key_pem, put

AUTHORITY = Authority()


@dataclass
class RecordingAudience:
    """Keeps what it is told, in order: a serial, or a reason."""

    told: list[str] = field(default_factory=list)
    exposed: list[bool] = field(default_factory=list)

    def certificates_loaded(
        self,
        *,
        serial: str,
        not_after: datetime,
        client_ca_not_after: datetime | None,
        key_is_exposed: bool,
    ) -> None:
        self.told.append(serial)
        self.exposed.append(key_is_exposed)

    def certificates_rejected(self, reason: str) -> None:
        self.told.append(reason)


@dataclass
class Followed:
    """A store with its folder, its audience and a clock that tests turn."""

    folder: Folder
    audience: RecordingAudience = field(default_factory=RecordingAudience)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    with_client_ca: bool = False

    def __post_init__(self) -> None:
        client_ca = self.folder.client_ca if self.with_client_ca else None
        files = CertificateFiles(self.folder.certificate, self.folder.key, client_ca)
        self.store = CertificateStore(files, (self.audience,), now=lambda: self.now)

    def look_until_settled(self) -> None:
        self.store.look()
        self.store.look()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Holds a good pair and the clients' authority."""
    folder = Folder(tmp_path)
    folder.hold(AUTHORITY.issue())
    put(folder.client_ca, AUTHORITY.pem)
    return folder


def refusal(folder: Folder) -> str:
    with pytest.raises(CertificateUnusable) as caught:
        Followed(folder, with_client_ca=True)
    return str(caught.value)


Spoil = Callable[[Folder], object]


def lacks(name: str) -> Spoil:
    return lambda folder: (folder.path / name).unlink()


def holds(name: str, content: bytes) -> Spoil:
    return lambda folder: put(folder.path / name, content)


def is_a_folder(folder: Folder) -> None:
    folder.key.unlink()
    folder.key.mkdir()


def cut_off(folder: Folder) -> None:
    chain = AUTHORITY.issue().pem + AUTHORITY.pem
    put(folder.certificate, chain[: -len(AUTHORITY.pem) // 2])


def encrypted() -> bytes:
    protection = BestAvailableEncryption(b"secret")
    return a_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


SPOILED: list[tuple[Spoil, str]] = [
    (lacks("tls.crt"), "tls.certificate_file: {}/tls.crt: there is no such file"),
    (lacks("tls.key"), "tls.key_file: {}/tls.key: there is no such file"),
    (lacks("ca.crt"), "tls.client_ca_file: {}/ca.crt: there is no such file"),
    (is_a_folder, "tls.key_file: {}/tls.key: is not a file"),
    (holds("tls.crt", b""), "tls.certificate_file: {}/tls.crt: holds no certificates in PEM"),
    (holds("tls.crt", bytes(MAX_FILE_BYTES + 1)), "tls.crt: is larger than 1048576 bytes"),
    (cut_off, "tls.crt: ends within a certificate"),
    (holds("tls.key", b"nonsense"), "tls.key_file: {}/tls.key: holds no private key in PEM"),
    (holds("tls.key", encrypted()), "tls.key: is encrypted; store it without a password"),
    (holds("tls.key", key_pem(a_key())), "tls.key: is not the key of the first certificate in {}"),
    (lambda folder: folder.hold(AUTHORITY.issue(days=-1)), "tls.crt: expired on 20"),
    (
        lambda folder: folder.hold(AUTHORITY.issue(starts_in=1)),
        "UTC; check the clock of this machine",
    ),
    (holds("ca.crt", Authority(days=-1).pem), "tls.client_ca_file: {}/ca.crt: expired on 20"),
    (holds("ca.crt", Authority(may_issue=False).pem), "ca.crt: holds no authority's certificate"),
]


@pytest.mark.parametrize(("spoil", "told"), SPOILED)
def test_files_that_cannot_be_used_are_named_with_the_reason(
    spoil: Spoil, told: str, folder: Folder
) -> None:
    spoil(folder)

    assert told.format(folder.path) in refusal(folder)


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 1024),
    ],
    ids=lambda key: type(key).__name__,
)
def test_a_kind_of_key_that_grpc_cannot_use_is_refused(key: object, folder: Folder) -> None:
    put(folder.key, key_pem(key))

    assert "make one of RSA (2048 bits) or P-256 or P-384" in refusal(folder)


def test_an_rsa_key_and_a_chain_will_do(folder: Folder) -> None:
    pair = AUTHORITY.issue(key=rsa.generate_private_key(65537, 2048))
    folder.hold(pair)
    put(folder.certificate, pair.pem + AUTHORITY.pem)

    current = Followed(folder).store.current

    assert current.chain == pair.pem + AUTHORITY.pem
    assert current.client_ca is None
    assert str(pair.key_pem) not in repr(current)


def test_of_several_authorities_the_last_to_expire_counts(folder: Folder) -> None:
    later = Authority(name="next", days=60)
    put(folder.client_ca, Authority(days=-1).pem + later.pem)

    last = Followed(folder, with_client_ca=True).store.current.client_ca_not_after

    assert last is not None
    assert abs(last - datetime.now(UTC) - 60 * DAY) < timedelta(minutes=5)


def test_an_authority_that_does_not_say_what_it_is_will_do(folder: Folder) -> None:
    put(folder.client_ca, Authority(may_issue=None).pem)

    assert Followed(folder, with_client_ca=True).store.current.client_ca_not_after is not None


def test_a_file_that_only_others_may_read_is_told() -> None:
    with an_open_directory() as directory:
        folder = Folder(directory)
        folder.hold(AUTHORITY.issue())
        folder.certificate.chmod(0o644)
        folder.key.chmod(0)
        with an_ordinary_user(), pytest.raises(CertificateUnusable) as caught:
            Followed(folder)

    assert str(caught.value).endswith("tls.key: cannot be read: Permission denied")


def test_a_key_that_everybody_may_read_is_told(folder: Folder) -> None:
    folder.key.chmod(0o644)
    followed = Followed(folder)
    folder.hold(AUTHORITY.issue())
    followed.look_until_settled()

    assert followed.audience.exposed == [True, False]


def test_a_replaced_pair_is_taken_over_once_it_has_settled(folder: Folder) -> None:
    followed, new = Followed(folder), AUTHORITY.issue()
    before = followed.store.current
    folder.hold(new)

    followed.store.look()
    assert followed.store.current is before
    followed.store.look()
    assert followed.store.current.serial == new.serial
    followed.look_until_settled()
    assert followed.audience.told == [before.serial, new.serial]


def test_a_certificate_whose_key_comes_later_is_no_failure(folder: Folder) -> None:
    followed, new = Followed(folder), AUTHORITY.issue()

    put(folder.certificate, new.pem)
    followed.store.look()
    put(folder.key, new.key_pem)
    followed.look_until_settled()

    assert followed.audience.told[1:] == [new.serial]


def test_the_swap_of_a_kubernetes_secret_is_seen(tmp_path: Path) -> None:
    volume, first, second = Folder(tmp_path), AUTHORITY.issue(), AUTHORITY.issue()
    for name, pair in (("..1", first), ("..2", second)):
        (tmp_path / name).mkdir()
        Folder(tmp_path / name).hold(pair)
    (tmp_path / "..data").symlink_to("..1")
    for path in (volume.certificate, volume.key):
        path.symlink_to(f"..data/{path.name}")
    followed = Followed(volume)

    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    followed.look_until_settled()

    assert followed.audience.told == [first.serial, second.serial]


@pytest.mark.parametrize(("spoil", "told"), SPOILED)
def test_a_broken_replacement_keeps_the_last_good_one_and_is_told_once(
    spoil: Spoil, told: str, folder: Folder
) -> None:
    followed = Followed(folder, with_client_ca=True)
    before = followed.store.current
    spoil(folder)

    followed.look_until_settled()
    followed.look_until_settled()

    assert followed.store.current is before
    (reason,) = followed.audience.told[1:]
    assert told.format(folder.path) in reason


def test_after_a_broken_replacement_a_good_one_is_taken_over(folder: Folder) -> None:
    followed, new = Followed(folder), AUTHORITY.issue()
    put(folder.key, b"nonsense")
    followed.look_until_settled()
    folder.hold(new)
    followed.look_until_settled()

    assert len(followed.audience.told) == 3
    assert followed.store.current.serial == new.serial


def test_a_certificate_that_came_too_early_is_taken_over_when_it_is_valid(folder: Folder) -> None:
    followed, early = Followed(folder), AUTHORITY.issue(starts_in=1, days=10)
    folder.hold(early)
    followed.look_until_settled()
    followed.now += timedelta(days=1, minutes=1)
    followed.store.look()

    assert followed.store.current.serial == early.serial


def test_a_pair_in_force_that_expires_stays_while_there_is_no_other(folder: Folder) -> None:
    followed = Followed(folder)
    followed.now += timedelta(days=20)
    followed.look_until_settled()

    assert len(followed.audience.told) == 1

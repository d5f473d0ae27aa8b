"""Packages from a real HTTPS server: asked for seldom, and refused with the reason."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from moderation.adapters.policy_package import (
    PackagedPolicies,
    PackageIntake,
    PackageShelf,
    WebPackage,
    read_public_keys,
)
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.errors import PolicySetRejected
from tests.policy_packages import Mirror, Publisher, a_policy, running_mirror

ARCHIVE, SIGNATURE = "/policies.tar.gz", "/policies.tar.gz.sig"


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "published")
    made.write(no_cats=a_policy())
    made.publish()
    return made


@pytest.fixture
def mirror(publisher: Publisher, tmp_path: Path) -> Iterator[Mirror]:
    with running_mirror(Mirror(publisher.home), tmp_path / "certificates") as running:
        yield running


@pytest.fixture
def web(mirror: Mirror) -> Iterator[WebPackage]:
    trusted = ssl.create_default_context(cafile=mirror.authority)
    package = WebPackage(mirror.url, trusted=trusted, timeout_s=5.0)
    yield package
    package.close()


def an_intake(web: WebPackage, publisher: Publisher, tmp_path: Path) -> PackageIntake:
    keys = partial(read_public_keys, [publisher.public()])
    return PackageIntake(web, keys=keys, shelf=PackageShelf(tmp_path / "state"))


def refusal(web: WebPackage) -> str:
    with pytest.raises(PolicySetRejected) as caught:
        web.signature()
    return str(caught.value)


def test_a_package_is_fetched_once_and_then_asked_for_by_its_etag(
    web: WebPackage, mirror: Mirror, publisher: Publisher, tmp_path: Path
) -> None:
    intake = an_intake(web, publisher, tmp_path)
    policies = PackagedPolicies(intake, YamlPolicySource(tmp_path / "state/current/policies"))
    first = policies.load()

    for _ in range(3):
        intake.look_again()
        assert policies.load() is first

    assert mirror.asked == [(SIGNATURE, 200), (ARCHIVE, 200), *[(SIGNATURE, 304)] * 3]


def test_nothing_is_asked_for_until_it_is_time_to(
    web: WebPackage, mirror: Mirror, publisher: Publisher, tmp_path: Path
) -> None:
    intake = an_intake(web, publisher, tmp_path)

    assert intake.take() == intake.take()

    assert mirror.count(SIGNATURE, 200) == 1


def test_a_failure_is_told_until_it_is_time_to_look_again(
    web: WebPackage, mirror: Mirror, publisher: Publisher, tmp_path: Path
) -> None:
    intake = an_intake(web, publisher, tmp_path)
    mirror.instead[SIGNATURE] = 503, {}, b""
    for _ in range(2):
        with pytest.raises(PolicySetRejected, match="answers with status 503"):
            intake.take()
    assert (intake.failures, mirror.count(SIGNATURE, 503)) == (1, 1)

    mirror.instead.clear()
    intake.look_again()

    assert intake.take().serial == 1
    assert intake.failures == 0


def test_an_archive_that_arrives_after_its_signature_is_awaited(
    web: WebPackage, mirror: Mirror, publisher: Publisher, tmp_path: Path
) -> None:
    intake = an_intake(web, publisher, tmp_path)
    intake.take()
    mirror.instead[ARCHIVE] = 200, {}, publisher.archive.read_bytes()
    publisher.write(no_cats=a_policy(phrase="a tiger"))
    publisher.publish()
    intake.look_again()
    with pytest.raises(PolicySetRejected, match="is not what was signed"):
        intake.take()

    mirror.instead.clear()
    intake.look_again()

    assert intake.take().serial == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}, b""), "answers with status 404"),
        ((304, {}, b""), "answers with status 304"),
        ((302, {"Location": "/x"}, b""), "answers with status 302; no redirect is followed"),
        ((200, {}, b"x" * 70_000), "is larger than the 65536 bytes that it may have"),
    ],
)
def test_other_answers_are_told(
    web: WebPackage, mirror: Mirror, answer: tuple[int, dict[str, str], bytes], told: str
) -> None:
    mirror.instead[SIGNATURE] = answer

    assert f"{mirror.url}.sig: {told}" in refusal(web)
    assert len(mirror.asked) == 1


def test_no_more_is_read_than_was_signed(web: WebPackage, mirror: Mirror) -> None:
    mirror.instead[ARCHIVE] = 200, {}, b"x" * 1_000_000

    with pytest.raises(PolicySetRejected, match="is larger than the 1000 bytes"):
        web.archive(1000)


def test_an_archive_that_a_server_calls_packed_is_taken_as_it_is(
    web: WebPackage, mirror: Mirror, publisher: Publisher
) -> None:
    archive = publisher.archive.read_bytes()
    mirror.instead[ARCHIVE] = 200, {"Content-Encoding": "gzip"}, archive

    assert web.archive(len(archive)) == archive


def test_a_server_without_etags_is_asked_for_the_whole_signature(
    web: WebPackage, mirror: Mirror, publisher: Publisher
) -> None:
    mirror.instead[SIGNATURE] = 200, {}, publisher.signature.read_bytes()

    assert web.signature() == web.signature() == publisher.signature.read_bytes()


def test_a_server_without_a_certificate_of_the_authority_is_not_asked(mirror: Mirror) -> None:
    stranger = WebPackage(mirror.url, trusted=ssl.create_default_context(), timeout_s=5.0)

    told = refusal(stranger)
    stranger.close()

    assert "cannot be fetched" in told
    assert "CERTIFICATE_VERIFY_FAILED" in told
    assert mirror.asked == []


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/p.tar.gz"
        web = WebPackage(url, trusted=ssl.create_default_context(), timeout_s=5.0)
        told = refusal(web)
        web.close()

    assert told.startswith(f"{url}.sig: cannot be fetched: ")


def test_a_server_that_drips_is_not_waited_for() -> None:
    """A byte now and then would keep it for ever; what is awaited here is the refusal itself."""
    done = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):  # of a caller that leaves
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not done.wait(0.01):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        dripping = threading.Thread(target=drip, args=(listening,))
        dripping.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/p.tar.gz"
        web = WebPackage(url, trusted=ssl.create_default_context(), timeout_s=0.3)
        told = refusal(web)
        done.set()
        dripping.join()
        web.close()

    assert "has not arrived within 0.3 s" in told


def with_token(mirror: Mirror, path: Path) -> WebPackage:
    trusted = ssl.create_default_context(cafile=mirror.authority)
    url = f"{mirror.url}?area=9"
    return WebPackage(url, trusted=trusted, timeout_s=5.0, token_file=path)


def test_a_token_is_shown_as_the_file_says_now(mirror: Mirror, tmp_path: Path) -> None:
    path = tmp_path / "token"
    web = with_token(mirror, path)
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        web.signature()
    web.close()

    assert mirror.tokens == ["Bearer first", "Bearer second"]
    assert mirror.asked == [(f"{SIGNATURE}?area=9", 200), (f"{SIGNATURE}?area=9", 304)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read as a token: No such file"),
        (b"", "holds no token"),
        (b"two words", "holds no token"),
        (b"a\x01b", "holds no token"),
        (b"\xff", "cannot be read as a token: is not ASCII"),
    ],
)
def test_a_file_without_a_token_is_told(
    mirror: Mirror, tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    web = with_token(mirror, path)

    told_of_it = refusal(web)
    web.close()

    assert told in told_of_it
    assert mirror.asked == []


def test_what_may_be_secret_in_a_url_is_told_to_nobody(mirror: Mirror, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret-token")
    mirror.instead[SIGNATURE] = 500, {}, b""
    web = with_token(mirror, path)

    told = refusal(web)
    web.close()

    assert "area" not in told
    assert "secret" not in told

"""The keys that sign tokens: from a file or a real server, and never half of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from moderation.adapters.identity.jwks import MAX_BYTES, JwksFile, JwksUrl, signing_keys
from moderation.core.errors import KeysRejected
from tests.adapters.identity.tokens import Issuer

ISSUER = Issuer()
SYMMETRIC = b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}]}'
FOR_ENCRYPTION = ISSUER.jwks("first").replace(b'"kid"', b'"use": "enc", "kid"')


@contextmanager
def serving(status: int, body: bytes, **headers: str) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_port}/jwks?token=secret"
        server.shutdown()
        thread.join()


def problem(load: JwksFile | JwksUrl) -> str:
    with pytest.raises(KeysRejected) as caught:
        load.load()
    return str(caught.value)


def test_a_file_and_a_server_give_the_same_keys(tmp_path: Path) -> None:
    ISSUER.publish(tmp_path / "jwks.json")
    with serving(200, ISSUER.jwks()) as url:
        fetched = JwksUrl(url.replace("user:secret@", "")).load()

    read = JwksFile(tmp_path / "jwks.json").load()
    assert read.by_id.keys() == fetched.by_id.keys() == {"first", "second"}
    assert read == fetched
    assert read != signing_keys(ISSUER.jwks("first"), "")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "RSA"}]}', b"\xff", b'{"keys": 1}'],
)
def test_what_is_no_set_of_keys_is_refused(content: bytes) -> None:
    with pytest.raises(KeysRejected, match="is no JWK set with a key that can be used"):
        signing_keys(content, "jwks.json")


@pytest.mark.parametrize(
    "content", [SYMMETRIC, FOR_ENCRYPTION, ISSUER.jwks("first").replace(b'"kid"', b'"name"')]
)
def test_a_key_that_only_the_issuer_should_have_or_of_another_use_is_none(content: bytes) -> None:
    with pytest.raises(KeysRejected, match="has no public key with a `kid`"):
        signing_keys(content, "jwks.json")


def test_a_set_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(b" " * (MAX_BYTES + 1))

    assert "is too large" in problem(JwksFile(tmp_path / "jwks.json"))
    assert "cannot be read: No such file" in problem(JwksFile(tmp_path / "none.json"))


def test_a_server_that_does_not_answer_well_is_told_without_what_is_secret() -> None:
    with serving(503, b"") as url:
        told = problem(JwksUrl(url.replace("user:secret@", "")))
    gone = problem(JwksUrl("http://127.0.0.1:1/jwks"))

    assert told == "http://127.0.0.1/jwks: answers with status 503"
    assert "http://127.0.0.1/jwks: cannot be fetched" in gone


def test_a_redirect_is_not_followed() -> None:
    with (
        serving(200, ISSUER.jwks()) as real,
        serving(302, b"", Location=real) as url,
    ):
        assert "answers with status 302" in problem(JwksUrl(url.replace("user:secret@", "")))

"""Real HTTPS servers that speak as S3 and as Google's storage do, and let nobody in who may not.

S3's takes the signature apart and makes it anew from what arrived, by botocore; Google's checks
the assertion of a service account and gives a token for it.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote

import jwt
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.adapters.fetch.host import LARGE, Handler, Host, serving
from tests.certificates import key_pem
from tests.picture_builders import a_png

REGION = "eu-test-1"
AWS = Credentials("AKIDTEST", "a secret that nobody else has")
AUTHORIZATION = re.compile(
    "AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/[0-9]{8}/(?P<region>[^/]+)/s3/aws4_request, "
    "SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
AUDIENCE = "https://oauth2.googleapis.com/token"
"""Of every assertion, wherever tokens are asked for."""
KEY = "a b/ä+=&;'(~).png"
OBJECTS = {KEY: a_png(), "large": LARGE, "a//b": a_png(), "/c": a_png()}
"""In the buckets `pictures`, for who is allowed, and `open`, for everybody."""


class S3Handler(Handler):
    """Of the buckets as folders."""

    def do_GET(self) -> None:
        self.host.asked.append((self.headers["Host"], self.path))
        _, bucket, key = unquote(self.path).split("/", 2)
        code = "" if bucket == "open" else self._refusal()
        if bucket == "elsewhere":
            self._send(307, b"", ("Location", f"https://localhost:{self.host.port}/open/large"))
        elif bucket == "secret":
            self._refuse(403, "AccessDenied")
        elif code:
            self._refuse(400 if code == "AuthorizationHeaderMalformed" else 403, code)
        elif key not in OBJECTS:
            self._refuse(404, "NoSuchKey")
        else:
            self._send(200, OBJECTS[key])

    def _refuse(self, status: int, code: str) -> None:
        padding = "x" * 10_000  # no more is read than tells why
        self._send(status, f"<Error><Code>{code}</Code>{padding}</Error>".encode())

    def _refusal(self) -> str:
        """Why S3 would not take who asks; empty if it would."""
        shown = AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if shown is None:
            return "AccessDenied"
        if shown["id"] != AWS.access_key:
            return "InvalidAccessKeyId"
        if shown["region"] != REGION:
            return "AuthorizationHeaderMalformed"
        signed = {name: self.headers[name] for name in shown["signed"].split(";")}
        assert {"host", "x-amz-date", "x-amz-content-sha256"} <= signed.keys()
        request = AWSRequest("GET", f"https://{self.headers['Host']}{self.path}", signed)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = S3SigV4Auth(AWS, "s3", REGION)
        made = auth.signature(
            auth.string_to_sign(request, auth.canonical_request(request)), request
        )
        return "" if made == shown["signature"] else "SignatureDoesNotMatch"


@dataclass
class Account:
    """A service account as Google would know it, and the tokens that were given for it."""

    email: str = "pictures@tests.example"
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    tokens: set[str] = field(default_factory=set)

    def written(self, token_uri: str) -> bytes:
        """Its key file."""
        return json.dumps(
            {
                "type": "service_account",
                "client_email": self.email,
                "private_key_id": "one",
                "private_key": key_pem(self.key).decode(),
                "token_uri": token_uri,
            }
        ).encode()


class GsHandler(Handler):
    """Tokens at /token, and the buckets as folders."""

    account: Account

    def do_POST(self) -> None:
        self.host.asked.append((self.headers["Host"], self.path))
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        try:
            claims = jwt.decode(
                form["assertion"][0],
                self.account.key.public_key(),
                algorithms=["RS256"],
                audience=AUDIENCE,
                issuer=self.account.email,
                options={"require": ["exp", "iat"]},
            )
        except jwt.PyJWTError:
            self._send(400, b'{"error": "invalid_grant"}')
            return
        assert claims["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"
        assert claims["exp"] > time.time()
        token = secrets.token_urlsafe()
        self.account.tokens.add(token)
        answer = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        self._send(200, json.dumps(answer).encode(), ("Content-Type", "application/json"))

    def do_GET(self) -> None:
        self.host.asked.append((self.headers["Host"], self.path))
        _, bucket, key = unquote(self.path).split("/", 2)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if bucket != "open" and token not in self.account.tokens:
            self._send(401, b"")
        elif key not in OBJECTS:
            self._send(404, b"")
        else:
            self._send(200, OBJECTS[key])


@contextmanager
def running_s3(folder: Path) -> Iterator[Host]:
    """S3 on a loopback port, with a certificate for localhost."""
    with serving(folder, S3Handler) as host:
        yield host


@contextmanager
def running_gs(folder: Path, account: Account) -> Iterator[Host]:
    """Google's storage on a loopback port, with a certificate for localhost."""
    GsHandler.account = account
    with serving(folder, GsHandler) as host:
        yield host

"""What it costs to know the caller: the real server with keys or tokens, against an open one.

GetStatus is the hard case: it does nothing else, so that the share of the credential is the
largest. What a judged picture costs beside it is in the other benchmarks.

    python -m benchmarks.identity [--rounds 5] [--seconds 2]
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.rounds import Row, interleaved, parser, report
from benchmarks.servers import Running, running_server
from moderation.adapters.identity.keys_editing import KeysEditor, NewKey
from moderation.core.identity import Role
from moderation.identity import keys_source
from moderation.v1 import moderation_pb2 as pb
from moderation.v1.moderation_pb2_grpc import ModerationServiceStub

CALLERS = 8
OPEN, KEY, TOKEN = "open", "API key", "JWT, RS256"
PREFIX = "MODERATION_IDENTITY__"
NAME = "benchmark"
CPU = "process_cpu_seconds_total"


def main() -> None:
    """Measure every variant in turns."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=2.0, help="of load a variant and round")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        prepared = {OPEN: ("", {}), KEY: _with_keys(scratch), TOKEN: _with_tokens(scratch)}
        variants = {}
        for name, (credential, env) in prepared.items():
            server = stack.enter_context(running_server(arguments.policies, env=env))
            variants[name] = partial(_cpu_us, server, credential, arguments.seconds)
        measured = interleaved(variants, arguments.rounds)
    baseline = f"GetStatus, {OPEN}"
    rows = [
        Row(
            f"GetStatus, {name}",
            "CPU us",
            values,
            "" if name == OPEN else baseline,
            more_is_better=False,
        )
        for name, values in measured.items()
    ]
    report(f"who calls, {CALLERS} callers on one connection", rows, arguments)


def _with_keys(scratch: Path) -> tuple[str, Mapping[str, str]]:
    path = scratch / "keys.yaml"
    key = NewKey(NAME, NAME, (Role.READ,), datetime.now(UTC))
    return KeysEditor(keys_source(path)).create(key), {f"{PREFIX}KEYS_FILE": str(path)}


def _with_tokens(scratch: Path) -> tuple[str, Mapping[str, str]]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    path = scratch / "jwks.json"
    path.write_text(json.dumps({"keys": [{**public, "kid": NAME}]}))
    claims = {"iss": NAME, "aud": NAME, "exp": time.time() + 86400, "tenant": NAME, "roles": "read"}
    token = jwt.encode(claims, key, "RS256", headers={"kid": NAME})
    issuer = {f"{PREFIX}JWT_ISSUER": NAME, f"{PREFIX}JWT_AUDIENCE": NAME}
    return token, {**issuer, f"{PREFIX}JWKS_FILE": str(path)}


def _cpu_us(server: Running, credential: str, seconds: float) -> float:
    """The server's processor time for one call, which a busy machine changes little."""
    before = server.metric(CPU)
    calls = asyncio.run(_calls(server.address, credential, seconds))
    return (server.metric(CPU) - before) / calls * 1e6


async def _calls(address: str, credential: str, seconds: float) -> int:
    metadata = (("authorization", f"Bearer {credential}"),) if credential else ()
    done = 0
    async with grpc.aio.insecure_channel(address) as channel:
        stub = ModerationServiceStub(channel)
        ends_at = time.monotonic() + seconds

        async def call() -> None:
            nonlocal done
            while time.monotonic() < ends_at:
                await stub.GetStatus(pb.GetStatusRequest(), metadata=metadata)
                done += 1

        await asyncio.gather(*(call() for _ in range(CALLERS)))
    return done


if __name__ == "__main__":
    main()

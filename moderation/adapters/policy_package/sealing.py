"""What is signed of a package, and whether a signature holds.

The signature is a file beside the archive, a DSSE envelope
(https://github.com/secure-systems-lab/dsse): a statement of what the archive is, signed with
Ed25519 over the statement's kind and bytes. It is small, and is judged before anything of the
archive is fetched or read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from moderation.adapters.policy_package.keys import PublicKeys, key_id
from moderation.adapters.policy_package.limits import MAX_ARCHIVE_BYTES, MAX_SIGNATURE_BYTES
from moderation.adapters.policy_package.refusal import refused

KIND: Final = "application/vnd.moderation.policy-package+json"
MAX_SERIAL = 2**53


class Statement(BaseModel):
    """What an archive is. `serial` only ever grows, whatever is packed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = 1
    serial: Annotated[int, Field(ge=1, le=MAX_SERIAL)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    n_bytes: Annotated[int, Field(ge=1, le=MAX_ARCHIVE_BYTES)]


class _Signature(BaseModel):
    keyid: Annotated[str, Field(max_length=200)]
    sig: Base64Bytes


class _Envelope(BaseModel):
    payloadType: Literal["application/vnd.moderation.policy-package+json"] = KIND
    payload: Base64Bytes
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=16)]


@dataclass(frozen=True, slots=True)
class Verified:
    """A statement that is signed, and by which of the keys."""

    statement: Statement
    key_id: str


def state(archive: bytes, *, serial: int) -> Statement:
    """What is to be signed of an archive."""
    digest = hashlib.sha256(archive).hexdigest()
    return Statement(serial=serial, sha256=digest, n_bytes=len(archive))


def seal(statement: Statement, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """The file beside the archive, signed by each key."""
    payload = statement.model_dump_json().encode()
    signed = _signed(payload)
    signatures = [
        _Signature.model_construct(keyid=key_id(one.public_key()), sig=one.sign(signed))
        for one in keys
    ]
    written = _Envelope.model_construct(payload=payload, signatures=signatures)
    return written.model_dump_json(indent=2).encode() + b"\n"


def verify(signature: bytes, keys: PublicKeys, shown: str) -> Verified:
    """What is stated, if one of the keys has signed it; raises PolicySetRejected."""
    envelope = _envelope(signature, shown)
    signed = _signed(envelope.payload)
    ours = [one for one in envelope.signatures if one.keyid in keys]
    if not ours:
        theirs = ", ".join(ascii(one.keyid)[1:-1] for one in envelope.signatures)
        message = f"is signed by key {theirs}, and the public keys that are set are"
        raise refused(shown, f"{message} {', '.join(sorted(keys)) or 'none'}")
    for one in ours:
        try:
            keys[one.keyid].verify(one.sig, signed)
        except InvalidSignature:
            continue
        return Verified(_statement(envelope.payload, shown), one.keyid)
    raise refused(shown, f"was altered: its signature by key {ours[0].keyid} does not hold")


def require_stated(archive: bytes, statement: Statement, shown: str) -> None:
    """Raise PolicySetRejected if the archive is not the one that was signed."""
    if len(archive) != statement.n_bytes or hashlib.sha256(archive).hexdigest() != statement.sha256:
        message = "is not what was signed: it was altered, or its signature is of another archive"
        raise refused(shown, message)


def _signed(payload: bytes) -> bytes:
    """What Ed25519 signs; no signature of anything else can be taken for one of this."""
    return b"DSSEv1 %d %s %d %s" % (len(KIND), KIND.encode(), len(payload), payload)


def _envelope(signature: bytes, shown: str) -> _Envelope:
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise refused(shown, f"is too large; at most {MAX_SIGNATURE_BYTES} bytes are allowed")
    try:
        return _Envelope.model_validate_json(signature)
    except ValidationError as error:
        raise refused(shown, "is not what `moderation policy pack` writes") from error


def _statement(payload: bytes, shown: str) -> Statement:
    try:
        return Statement.model_validate_json(payload)
    except ValidationError as error:
        message = "is signed, and states something that this version does not understand"
        raise refused(shown, message) from error

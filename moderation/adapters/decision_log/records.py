"""Between judgements and the fields of a line, with the content's digest keyed if asked for."""

import hashlib
import hmac
import json
from datetime import datetime
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from moderation.adapters.decision_log.lines import SCHEMA, Kind, Line, as_json
from moderation.core.record import DecisionRecord, Judgement, record_of

_RECORD = TypeAdapter(DecisionRecord)
SEALED = "sealed"


class RecordUnreadable(ValueError):
    """A sound line holds no decision that can be read here, for instance for want of a key."""


class Seal(Protocol):
    """Encrypts records, so that the disk alone tells nothing."""

    def close(self, plain: bytes) -> str:
        """An encrypted text in ASCII."""
        ...

    def open(self, text: str) -> bytes:
        """What was encrypted; raises RecordUnreadable if that was with another key."""
        ...


class RecordCodec:
    """Writes records, and reads those of this and of earlier versions."""

    def __init__(
        self, *, keep_embeddings: bool = False, digest_key: bytes = b"", seal: Seal | None = None
    ) -> None:
        self._keep_embeddings = keep_embeddings
        self._digest_key = digest_key
        self._seal = seal

    def encode(self, judgement: Judgement) -> tuple[Kind, bytes]:
        """The kind of line and its fields, as `write_line` wants them."""
        record = record_of(judgement, self.digest, keep_embeddings=self._keep_embeddings)
        fields = _RECORD.dump_json(record, ensure_ascii=True)
        if self._seal is None:
            return Kind.DECISION, fields
        return Kind.SEALED, as_json({SEALED: self._seal.close(fields)})

    def decode(self, line: Line) -> DecisionRecord:
        """The decision that a line tells of; raises RecordUnreadable."""
        fields = line.fields
        if line.kind is Kind.SEALED:
            if self._seal is None:
                raise RecordUnreadable("is encrypted; set decision_log.encryption_key_file")
            fields = json.loads(self._seal.open(str(fields[SEALED])))
        try:
            record: DecisionRecord = _RECORD.validate_python(fields)
        except ValidationError as error:
            raise RecordUnreadable(_of_another_schema(line)) from error
        return record

    def digest(self, content_digest: bytes) -> str:
        """A content's digest as it is kept, from the sha256 of its bytes.

        With a key, whoever has a picture but not the key cannot look it up.
        """
        if not self._digest_key:
            return f"sha256:{content_digest.hex()}"
        keyed = hmac.new(self._digest_key, content_digest, hashlib.sha256)
        return f"hmac-sha256:{keyed.hexdigest()}"


def is_decision(line: Line) -> bool:
    """Whether a line holds a decision that was not erased."""
    return line.kind in {Kind.DECISION, Kind.SEALED}


def moment_of(record: DecisionRecord) -> datetime:
    """When it was decided, by the clock of its server."""
    return datetime.fromisoformat(record.decided_at)


def _of_another_schema(line: Line) -> str:
    schema = line.fields.get("schema")
    if schema == SCHEMA:
        return "holds no decision with all its fields"
    return f"has schema {schema!r}, of which this version knows too little; it writes {SCHEMA}"

"""What a file of keys may say."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from moderation.core.identity import (
    MAX_NAME_CHARACTERS,
    NAME_PATTERN,
    CertificateName,
    NameKind,
)

HASH_PREFIX = "sha256:"
MAX_TENANTS = 1000
MAX_KEYS_PER_TENANT = 1000
MAX_CERTIFICATE_NAME_CHARACTERS = 2048
"""The longest that a SPIFFE id may be."""


def _hash(value: object) -> object:
    """Say nothing of what is there instead: it may be the key itself."""
    if isinstance(value, str) and re.fullmatch(f"{HASH_PREFIX}[0-9a-f]{{64}}", value):
        return bytes.fromhex(value.removeprefix(HASH_PREFIX))
    message = "must be sha256: and 64 hexadecimal digits; `moderation key create` writes it"
    raise PydanticCustomError("unshown", message)


def moment(value: object) -> datetime:
    """A day, from its first moment in UTC, or a moment with its offset; raises pydantic's error."""
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            day = date.fromisoformat(value)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise _no_moment() from None
    if found.tzinfo is None:
        raise _no_moment()
    return found


def _no_moment() -> PydanticCustomError:
    message = "must be a day, as 2027-03-01, or a moment with its offset, as 2027-03-01T12:00:00Z"
    return PydanticCustomError("moment", message)


def _whole(value: object) -> object:
    """The numbers of the policy language have a point somewhere, if only in thought."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name() -> Any:  # noqa: ANN401 - pydantic's name for a field is internal
    return Field(max_length=MAX_NAME_CHARACTERS, pattern=f"^{NAME_PATTERN}$")


Name = Annotated[str, _name()]
Digest = Annotated[bytes, BeforeValidator(_hash)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Moment = Annotated[datetime, BeforeValidator(moment)]
RoleName = Literal["moderate", "read", "admin"]
WrittenName = Annotated[str, Field(min_length=1, max_length=MAX_CERTIFICATE_NAME_CHARACTERS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KeySchema(_Part):
    """One key, of which only the hash is known."""

    hash: Digest
    roles: list[RoleName] = Field(min_length=1)
    created: Moment | None = None
    expires: Moment | None = None
    revoked: Moment | None = None


class CertificateSchema(_Part):
    """One client certificate, by the name that it has: a URI, a DNS name or a common name."""

    uri: WrittenName | None = None
    dns: WrittenName | None = None
    common_name: WrittenName | None = None
    roles: list[RoleName] = Field(min_length=1)
    expires: Moment | None = None
    revoked: Moment | None = None

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if sum(value is not None for value in (self.uri, self.dns, self.common_name)) != 1:
            raise PydanticCustomError("names", "must have one of uri, dns and common_name")
        return self

    @property
    def name(self) -> CertificateName:
        """The one that is written."""
        if self.dns is not None:
            return CertificateName(NameKind.DNS, self.dns.lower())
        kind = NameKind.URI if self.uri is not None else NameKind.COMMON_NAME
        return CertificateName(kind, self.uri or self.common_name or "")


class LimitsSchema(_Part):
    """How much a tenant may ask; what is left out is not limited."""

    max_in_flight: Count | None = None
    max_in_flight_bytes: Count | None = None
    requests_per_s: Positive | None = None
    burst: Positive | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None


class TenantSchema(_Part):
    """One tenant; what is left out is not restricted."""

    profiles: list[Name] | None = None
    limits: LimitsSchema = LimitsSchema()
    keys: dict[Name, KeySchema] = Field(default={}, max_length=MAX_KEYS_PER_TENANT)
    certificates: dict[Name, CertificateSchema] = Field(default={}, max_length=MAX_KEYS_PER_TENANT)


class KeysSchema(_Part):
    """The whole file."""

    tenants: dict[Name, TenantSchema] = Field(max_length=MAX_TENANTS)

"""The kinds of value that the policy language knows: texts, ids, shares, days, cuts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final
from unicodedata import category

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from moderation.core.templates import TEMPLATE_SETS

ALL: Final = "all"
ID_PATTERN: Final = "[a-z0-9]+(-[a-z0-9]+)*"
MAX_ID_CHARACTERS: Final = 64
MAX_PHRASE_CHARACTERS: Final = 300
DAY_PATTERN: Final = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
URL_PATTERN: Final = "https?://[^\\s/]+\\S*"
ONE_HOLE_PATTERN: Final = r"^(?!.*\{\}.*\{\}).*\{\}"
REFUSED = frozenset({"Cc", "Cs"})
"""Unicode's control characters and halves of characters."""
INVISIBLE = frozenset(
    "\u00ad\u200b\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""What makes two different texts look alike, or a text read differently than it is stored."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Annotates a text out of a closed set."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Checked after what the text itself has to be."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """What an editor offers."""
        return {"type": "string", "enum": list(self.names)}

    def _checked(self, value: str) -> str:
        if value not in self.names:
            raise PydanticCustomError("one_of", "", {"allowed": self.names})
        return value


def one_of(names: Iterable[str]) -> OneOf:
    """Of an enumeration or a table."""
    return OneOf(tuple(str(name) for name in names))


def _readable(value: str) -> str:
    # Most texts are plain, and a look at each character is a tenth of the time of a lint.
    for character in "" if value.isascii() and value.isprintable() else value:
        if character in INVISIBLE or (category(character) in REFUSED and not character.isspace()):
            message = "must not contain the invisible character U+{code}"
            raise PydanticCustomError("unreadable", message, {"code": f"{ord(character):04X}"})
    if not value.strip():
        raise PydanticCustomError("empty", "must not be empty")
    return " ".join(value.split())


def _has_one_hole(value: str) -> str:
    if value.count("{}") != 1:
        raise PydanticCustomError("template", "must contain {hole} once", {"hole": "{}"})
    return value


def _between_0_and_1(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise PydanticCustomError("range", "must be between 0 and 1")
    return value


def _share(value: float) -> float:
    if not 0.0 < value <= 1.0:
        raise PydanticCustomError("range", "must be above 0 and at most 1")
    return value


def _rate(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise PydanticCustomError("range", "must be above 0 and below 1")
    return value


def _url(value: str) -> str:
    if not re.fullmatch(URL_PATTERN, value):
        raise PydanticCustomError("range", "must be a web address that starts with https://")
    return value


def _day(value: object) -> object:
    try:
        is_written_so = isinstance(value, str) and re.fullmatch(DAY_PATTERN, value)
        return date.fromisoformat(str(value)) if is_written_so else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> object:
    raise PydanticCustomError("range", "must be a day of the calendar, written as YYYY-MM-DD")


def _templates(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in TEMPLATE_SETS:
        raise PydanticCustomError("one_of", "", {"allowed": tuple(TEMPLATE_SETS)})
    return list(TEMPLATE_SETS[value])


def _all_or_ids(value: object) -> list[str] | None:
    if value == ALL:
        return None
    if value == []:
        raise PydanticCustomError("empty", "must not be empty: this profile would judge nothing")
    if isinstance(value, list):
        if not all(isinstance(item, str) for item in value):
            raise PydanticCustomError("ids", "every item must be the id of a policy, as a text")
        return value
    raise PydanticCustomError("selection", "must be all, or a list of policy ids")


def _filled(max_length: int) -> Any:  # noqa: ANN401 - pydantic's name for a field is internal
    """A text that says something, also to an editor."""
    return Field(max_length=max_length, json_schema_extra={"pattern": "\\S"})


Id = Annotated[str, Field(max_length=MAX_ID_CHARACTERS, pattern=f"^{ID_PATTERN}$")]
ID_SCHEMA: Final[JsonDict] = {
    "type": "string",
    "maxLength": MAX_ID_CHARACTERS,
    "pattern": f"^{ID_PATTERN}$",
}
"""Where a field is checked by hand."""
BY_ID: Final[JsonDict] = {"propertyNames": ID_SCHEMA}
"""Of a mapping whose keys are ids."""
Title = Annotated[str, _filled(120), AfterValidator(_readable)]
Description = Annotated[str, _filled(2000), AfterValidator(_readable)]
LegalGround = Annotated[str, _filled(300), AfterValidator(_readable)]
Url = Annotated[
    str,
    Field(max_length=500, json_schema_extra={"format": "uri", "pattern": f"^{URL_PATTERN}$"}),
    AfterValidator(_url),
]
PhraseText = Annotated[str, _filled(MAX_PHRASE_CHARACTERS), AfterValidator(_readable)]
Template = Annotated[
    str,
    Field(max_length=200, json_schema_extra={"pattern": ONE_HOLE_PATTERN}),
    AfterValidator(_readable),
    AfterValidator(_has_one_hole),
]
Templates = Annotated[
    list[Template],
    Field(min_length=1, max_length=100),
    BeforeValidator(_templates),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(TEMPLATE_SETS)},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 200, "pattern": ONE_HOLE_PATTERN},
                    "minItems": 1,
                    "maxItems": 100,
                },
            ]
        }
    ),
]
_SHARE_SCHEMA = {"exclusiveMinimum": 0, "maximum": 1}
Share = Annotated[float, AfterValidator(_share), Field(json_schema_extra=_SHARE_SCHEMA)]
Cut = Annotated[
    float, AfterValidator(_between_0_and_1), Field(json_schema_extra={"minimum": 0, "maximum": 1})
]
Rate = Annotated[
    float,
    AfterValidator(_rate),
    Field(json_schema_extra={"exclusiveMinimum": 0, "exclusiveMaximum": 1}),
]
Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{DAY_PATTERN}$"}),
]
Selection = Annotated[
    list[str] | None,
    BeforeValidator(_all_or_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": ALL},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]

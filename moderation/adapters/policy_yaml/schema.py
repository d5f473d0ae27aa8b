"""What may be written in a policy file and in profiles.yaml: the policy language itself."""

from collections.abc import Iterable
from typing import Annotated, Any, Final
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from moderation.core.aggregation import AGGREGATIONS
from moderation.core.policy import Mode, Severity
from moderation.core.templates import DEFAULT_TEMPLATES

ALL: Final = "all"
ACTIONS: Final = ("allow", "review", "block")
ID_PATTERN: Final = "[a-z0-9]+(-[a-z0-9]+)*"
MAX_ID_CHARACTERS: Final = 64
REFUSED = frozenset({"Cc", "Cs"})
"""Unicode's control characters and halves of characters."""
INVISIBLE = frozenset(
    "\u00ad\u200b\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""What makes two different texts look alike, or a text read differently than it is stored."""


def _one_of(names: Iterable[str]) -> AfterValidator:
    allowed = tuple(names)

    def check(value: str) -> str:
        if value not in allowed:
            raise PydanticCustomError("one_of", "", {"allowed": allowed})
        return value

    return AfterValidator(check)


def _readable(value: str) -> str:
    for character in value:
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


def _weight(value: float) -> float:
    if not 0.0 < value <= 1.0:
        raise PydanticCustomError("range", "must be above 0 and at most 1")
    return value


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


Id = Annotated[str, Field(max_length=MAX_ID_CHARACTERS, pattern=f"^{ID_PATTERN}$")]
Title = Annotated[str, Field(max_length=120), AfterValidator(_readable)]
Description = Annotated[str, Field(max_length=2000), AfterValidator(_readable)]
PhraseText = Annotated[str, Field(max_length=300), AfterValidator(_readable)]
Template = Annotated[
    str, Field(max_length=200), AfterValidator(_readable), AfterValidator(_has_one_hole)
]
Weight = Annotated[float, AfterValidator(_weight)]
Cut = Annotated[float, AfterValidator(_between_0_and_1)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PhraseSchema(_Written):
    """A phrase: a text, or a mapping of text and weight."""

    text: PhraseText
    weight: Weight = 1.0

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, written: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(written, str):
            return {"text": written}
        if not isinstance(written, dict) or "text" not in written:
            raise PydanticCustomError("phrase", "")
        return written


class ThresholdsSchema(_Written):
    """The cuts on a score; without `block` nothing is blocked."""

    review: Cut
    block: Cut | None = None


class PolicySchema(_Written):
    """One policy file."""

    id: Id
    title: Title
    description: Description = ""
    category: Id = "other"
    severity: Annotated[str, _one_of(Severity)] = Severity.MEDIUM
    mode: Annotated[str, _one_of(Mode)] = Mode.ENFORCE
    phrases: Annotated[list[PhraseSchema], Field(min_length=1, max_length=1000)]
    contrast: Annotated[list[PhraseSchema], Field(max_length=1000)] = []
    templates: Annotated[list[Template], Field(min_length=1, max_length=100)] = list(
        DEFAULT_TEMPLATES
    )
    aggregation: Annotated[str, _one_of(AGGREGATIONS)] = "max"
    thresholds: ThresholdsSchema
    needs_clip: bool = False


class ProfileSchema(_Written):
    """One profile: which policies judge, and what differs from their own files."""

    policies: Annotated[list[str] | None, BeforeValidator(_all_or_ids)] = None
    on_unjudgeable: Annotated[str, _one_of(ACTIONS)] = "review"
    thresholds: dict[str, ThresholdsSchema] = {}


class ProfilesSchema(_Written):
    """The file profiles.yaml."""

    profiles: Annotated[dict[str, ProfileSchema], Field(min_length=1)]

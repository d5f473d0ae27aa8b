"""What may be written in each kind of policy file: the policy language itself.

The descriptions are what an editor shows at a key, and what docs/policies.md says.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from moderation.adapters.policy_yaml.words import (
    BY_ID,
    ID_SCHEMA,
    MAX_PHRASE_CHARACTERS,
    Cut,
    Day,
    Description,
    Id,
    LegalGround,
    PhraseText,
    Rate,
    Selection,
    Share,
    Templates,
    Title,
    Url,
    one_of,
)
from moderation.core.aggregation import AGGREGATIONS
from moderation.core.calibration import TargetKind
from moderation.core.policy import DEFAULT_PROFILE, Mode, Severity
from moderation.core.templates import DEFAULT_TEMPLATES

ACTIONS: Final = ("allow", "review", "block")
MAX_PHRASES: Final = 1000
TARGETS: Final = tuple(kind.value for kind in TargetKind)


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PhraseSchema(_Written):
    """A phrase: a text, a mapping of text and weight, or the include of a shared list."""

    text: PhraseText = ""
    weight: Share = 1.0
    include: Id | None = None

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, written: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(written, str):
            return {"text": written}
        if not isinstance(written, dict) or not written.keys() & {"text", "include"}:
            raise PydanticCustomError("phrase", "")
        if "include" in written and len(written) > 1:
            raise PydanticCustomError("include", "an include stands alone; its list has the rest")
        return written

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A text alone is what most people write."""
        text = {"type": "string", "pattern": "\\S", "maxLength": MAX_PHRASE_CHARACTERS}
        weight = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        shapes = [
            (["text"], {"text": text, "weight": weight}),
            (["include"], {"include": {**ID_SCHEMA}}),
        ]
        objects = [
            {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
            for required, properties in shapes
        ]
        return {"description": cls.__doc__, "anyOf": [text, *objects]}


class CutSchema(_Written):
    """A threshold: a number from 0 to 1, or what it is to guarantee."""

    number: Cut | None = None
    max_fpr: Rate | None = None
    min_recall: Rate | None = None

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, written: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if not isinstance(written, dict):
            if written is None or isinstance(written, list):
                raise PydanticCustomError("cut", "")
            return {"number": written}
        if len(written) != 1 or not written.keys() <= {*TARGETS}:
            raise PydanticCustomError("cut", "")
        return written

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A number is what most people write."""
        rate = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        targets = [
            {
                "type": "object",
                "properties": {name: rate},
                "required": [name],
                "additionalProperties": False,
            }
            for name in TARGETS
        ]
        number = {"type": "number", "minimum": 0, "maximum": 1}
        return {"description": cls.__doc__, "anyOf": [number, *targets]}


class ThresholdsSchema(_Written):
    """The cuts on a score; without `block` nothing is blocked."""

    review: CutSchema = Field(description="the score from which on a person looks")
    block: CutSchema | None = Field(
        None, description="the score from which on nothing is published"
    )


Phrases = Annotated[list[PhraseSchema], Field(max_length=MAX_PHRASES)]
SomePhrases = Annotated[list[PhraseSchema], Field(min_length=1, max_length=MAX_PHRASES)]


class PolicySchema(_Written):
    """One policy file."""

    id: Id = Field(
        description="the policy's name in answers, metrics and profiles; "
        "the file's name without its ending"
    )
    title: Title = Field(description="its name for people")
    description: Description = Field("", description="what is meant, and what is not")
    owner: Title = Field("", description="who answers for it: a team or a person")
    category: Id = Field("other", description="the group that it belongs to, for reports")
    severity: Annotated[str, one_of(Severity)] = Field(
        Severity.MEDIUM,
        description="how bad a violation is; it sorts queues and does not change the score",
    )
    legal_ground: LegalGround = Field(
        "", description="the law that a violation breaks, for a statement of reasons"
    )
    clause_url: Url = Field("", description="where your terms say so, for a statement of reasons")
    mode: Annotated[str, one_of(Mode)] = Field(
        Mode.ENFORCE,
        description="`enforce` acts; `shadow` is recorded and never acts; `off` is not even scored",
    )
    canary: Share = Field(
        1.0,
        description="the share of contents on which an enforced policy acts; "
        "it is a shadow for the rest",
    )
    effective: Day | None = Field(None, description="the first day on which it is not off, in UTC")
    expires: Day | None = Field(None, description="the last day on which it is not off, in UTC")
    phrases: SomePhrases = Field(description="texts that describe a violation")
    contrast: Phrases = Field([], description="texts that describe harmless look-alikes")
    background: bool = Field(
        True, description="whether the background of `lists.yaml` counts as contrast too"
    )
    templates: Templates = Field(
        list(DEFAULT_TEMPLATES),
        description="sentences into which each phrase is put; the results are averaged",
    )
    aggregation: Annotated[str, one_of(AGGREGATIONS)] = Field(
        "max",
        description="how the phrases become one number: the best one, their mean, "
        "the mean of the best three, or a soft maximum",
    )
    thresholds: ThresholdsSchema = Field(
        description="the score from which on somebody looks (`review`), and from which on nothing "
        "is published (`block`); without `block` nothing is blocked"
    )
    needs_clip: bool = Field(
        False,
        description="that the bundled starter encoder cannot judge this: under it the policy is "
        "recorded as in shadow, and acts only with CLIP",
    )


class ProfileSchema(_Written):
    """One profile: which policies judge, and what differs from their own files."""

    policies: Selection = Field(None, description="which policies judge")
    on_unjudgeable: Annotated[str, one_of(ACTIONS)] = Field(
        "review",
        description="what happens to content that cannot be judged, such as a broken image",
    )
    thresholds: dict[str, ThresholdsSchema] = Field(
        {},
        description="thresholds by policy id; they replace the policy's own, `block` included",
        json_schema_extra=BY_ID,
    )
    audit_share: Cut = Field(
        0.0,
        description="the random share of contents that a person looks at whatever they score",
    )
    review_budget: Share | None = Field(
        None,
        description="the share of contents that people have time for; it is shown to those who "
        "watch, and changes no decision",
    )


class ProfilesSchema(_Written):
    """The file profiles.yaml."""

    profiles: Annotated[dict[str, ProfileSchema], Field(min_length=1)] = Field(
        description="profiles by name; `default` is for requests that name none",
        json_schema_extra={**BY_ID, "required": [DEFAULT_PROFILE]},
    )


class ListsSchema(_Written):
    """The file lists.yaml."""

    lists: dict[Id, SomePhrases] = Field(
        {},
        description="phrases by the name under which policies include them",
        json_schema_extra=BY_ID,
    )
    background: Phrases = Field(
        [], description="everyday things that are contrast phrases of every policy"
    )


class CategorySchema(_Written):
    """One category."""

    title: Title = Field(description="its name for people")
    parent: Id | None = Field(None, description="the more general category that it belongs to")


class CategoriesSchema(_Written):
    """The file categories.yaml."""

    categories: Annotated[dict[Id, CategorySchema], Field(min_length=1)] = Field(
        description="categories by id; with this file, a policy's category must be one of them",
        json_schema_extra=BY_ID,
    )

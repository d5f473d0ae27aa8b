"""The policy language as JSON Schema, for editors."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from moderation.adapters.policy_yaml.expectations import TestsSchema
from moderation.adapters.policy_yaml.schema import (
    CategoriesSchema,
    ListsSchema,
    PolicySchema,
    ProfilesSchema,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MODELS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "policy": PolicySchema,
        "profiles": ProfilesSchema,
        "lists": ListsSchema,
        "categories": CategoriesSchema,
        "tests": TestsSchema,
    }
)


def json_schema(kind: str) -> dict[str, Any]:
    """What may be written in a file of that kind, one of MODELS."""
    return {"$schema": DIALECT, **MODELS[kind].model_json_schema()}

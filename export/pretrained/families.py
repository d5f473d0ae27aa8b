"""CLIP and SigLIP: all in which they differ, as one table."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from export.pretrained.errors import ExportError
from export.pretrained.layers import Shape, Weights
from export.pretrained.preprocessing import PixelScale
from export.pretrained.towers import (
    LEGACY_END,
    ClipImageTower,
    ClipTextTower,
    SiglipImageTower,
    SiglipTextTower,
)
from moderation.adapters.encoders.manifest import ScoreDefaults


@dataclass(frozen=True, slots=True)
class Family:
    """How one family's weights become towers, and its similarities scores.

    Configurations and tokenizers are transformers' own objects.
    """

    model: str
    """The class in transformers."""
    image_tower: Callable[[Weights, Any, PixelScale], nn.Module]
    text_tower: Callable[[Weights, Any, Any], nn.Module]
    dim: Callable[[Any], int]
    pad_to_max: bool
    bias: float
    temperature: float

    def score(self, weights: Weights) -> ScoreDefaults:
        """Similarities on the scale on which the model was trained."""
        return ScoreDefaults(
            scale=math.exp(weights["logit_scale"].item()),
            bias=self.bias,
            temperature=self.temperature,
        )


def _clip_image(weights: Weights, config: Any, scale: PixelScale) -> nn.Module:  # noqa: ANN401 - transformers' own
    return ClipImageTower(weights, _shape(config.vision_config), scale)


def _clip_text(weights: Weights, config: Any, tokenizer: Any) -> nn.Module:  # noqa: ANN401 - transformers' own
    end_id = config.text_config.eos_token_id
    if end_id not in (LEGACY_END, tokenizer.eos_token_id):
        raise ExportError(
            f"config.json: text_config.eos_token_id is {end_id}, but texts end with "
            f"{tokenizer.eos_token_id}; the model would read the wrong token of every text"
        )
    return ClipTextTower(weights, _shape(config.text_config), end_id)


def _siglip_image(weights: Weights, config: Any, scale: PixelScale) -> nn.Module:  # noqa: ANN401 - transformers' own
    if not getattr(config.vision_config, "vision_use_head", True):
        raise ExportError("config.json: vision_use_head false is not supported; no pooling is left")
    return SiglipImageTower(weights, _shape(config.vision_config), scale)


def _siglip_text(weights: Weights, config: Any, _: object) -> nn.Module:  # noqa: ANN401 - transformers' own
    return SiglipTextTower(weights, _shape(config.text_config))


def _shape(config: Any) -> Shape:  # noqa: ANN401 - transformers' own
    return Shape(
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
    )


FAMILIES: Mapping[str, Family] = {
    "clip": Family(
        model="CLIPModel",
        image_tower=_clip_image,
        text_tower=_clip_text,
        dim=lambda config: int(config.projection_dim),
        pad_to_max=False,
        bias=2.6,
        temperature=1.2,
    ),
    "siglip": Family(
        model="SiglipModel",
        image_tower=_siglip_image,
        text_tower=_siglip_text,
        dim=lambda config: int(config.vision_config.hidden_size),
        pad_to_max=True,
        bias=4.8,
        temperature=2.2,
    ),
}
"""By config.json's model_type.

A caption that fits and one of a look-alike differ in logits by about 5.3 with CLIP, 9.6 with
SigLIP (transformers' own examples, ViT-B). Bias and temperature put the two ends at scores
of .1 and .9. They are starting points: scores stay uncalibrated until labels say more.
"""


def family_of(config: Mapping[str, Any]) -> Family:
    """Raises ExportError on a model that is of no family known here."""
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ExportError(
            f"config.json: model_type {kind!r} is not supported; supported: {known} "
            "(SigLIP 2 of fixed resolution is of type siglip)"
        )
    return FAMILIES[kind]

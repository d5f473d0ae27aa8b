"""Whole towers: pixels or token ids in, unit vectors out, projection and all inside the graph."""

import torch
from torch import Tensor, nn

from export.pretrained.layers import (
    Attention,
    LastLayer,
    Linear,
    Perceptron,
    Shape,
    Weights,
    layer_norm,
    layers,
    linear,
    unit,
)
from export.pretrained.preprocessing import PixelScale

VISION = "vision_model"
TEXT = "text_model"
PIXEL_STEPS = 256
"""Pixels are divided by a power of two, which is exact in every float, before the matrix: with
1/255 inside it, its entries would be too small for float16."""
FORBIDDEN = -1e4
"""Added to an attention logit it leaves nothing, and float16 can hold it."""
LEGACY_END = 2
"""Configurations that name this end token mean the highest id of a text instead."""


class PatchEmbedding(nn.Module):
    """Pixels uint8[n, size, size, 3] to patches [n, patches, dim], normalisation folded in.

    A convolution whose steps are as long as its kernel is one matrix product of flat
    patches. Cutting them from bytes moves a quarter of what floats would.
    """

    def __init__(self, weights: Weights, positions: Tensor, scale: PixelScale) -> None:
        super().__init__()
        kernel = weights[f"{VISION}.embeddings.patch_embedding.weight"].double()
        bias = weights.get(f"{VISION}.embeddings.patch_embedding.bias", torch.zeros(1)).double()
        mean = torch.tensor(scale.mean, dtype=torch.float64)[:, None, None]
        std = torch.tensor(scale.std, dtype=torch.float64)[:, None, None]
        folded = kernel / std
        shift = bias - (folded * mean).sum(dim=(1, 2, 3))
        matrix = (folded * scale.rescale * PIXEL_STEPS).permute(2, 3, 1, 0).flatten(0, 2)
        self.project = Linear(matrix.float())
        self.shift = nn.Parameter((positions.double() + shift).float(), requires_grad=False)
        self.patch_px = kernel.shape[-1]
        self.mean_pixel = mean.flatten() / scale.rescale

    def forward(self, pixels: Tensor) -> Tensor:
        """Patches from left to right, then from top to bottom."""
        return self.project(self.flat_patches(pixels) * (1 / PIXEL_STEPS)) + self.shift

    def flat_patches(self, pixels: Tensor) -> Tensor:
        """Numbers 0 to 255, [n, patches, patch_px * patch_px * 3]."""
        return self.cut(pixels).to(self.shift.dtype)

    def cut(self, pixels: Tensor) -> Tensor:
        """The same as bytes; pixels beyond the last whole patch are left out."""
        n, size, patch = pixels.shape[0], pixels.shape[1], self.patch_px
        side = size // patch
        whole = pixels[:, : side * patch, : side * patch] if size % patch else pixels
        tiles = whole.reshape(n, side, patch, side, patch, 3).permute(0, 1, 3, 2, 4, 5)
        return tiles.reshape(n, side * side, patch * patch * 3)


class ClipImageTower(nn.Module):
    """A class token gathers what the patches show; it alone is read."""

    def __init__(self, weights: Weights, shape: Shape, scale: PixelScale) -> None:
        super().__init__()
        embeddings = f"{VISION}.embeddings"
        positions = weights[f"{embeddings}.position_embedding.weight"]
        token = weights[f"{embeddings}.class_embedding"] + positions[0]
        last = shape.layers - 1
        self.token = nn.Parameter(token[None, None, :], requires_grad=False)
        self.patches = PatchEmbedding(weights, positions[1:], scale)
        self.norm_before = layer_norm(weights, f"{VISION}.pre_layrnorm", shape.epsilon)
        self.layers = layers(weights, f"{VISION}.encoder.layers", shape, until=last)
        self.last = LastLayer(weights, f"{VISION}.encoder.layers.{last}", shape)
        self.norm_after = layer_norm(weights, f"{VISION}.post_layernorm", shape.epsilon)
        self.project = linear(weights, "visual_projection")

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8[n, size, size, 3] to unit vectors."""
        token = self.token.expand(pixels.shape[0], -1, -1)
        hidden = self.norm_before(torch.cat([token, self.patches(pixels)], dim=1))
        for layer in self.layers:
            hidden = layer(hidden, None)
        row = self.last(hidden, hidden[:, :1], None)
        return unit(self.project(self.norm_after(row)).squeeze(1))


class SiglipImageTower(nn.Module):
    """A learned query looks at all patches at the end."""

    def __init__(self, weights: Weights, shape: Shape, scale: PixelScale) -> None:
        super().__init__()
        positions = weights[f"{VISION}.embeddings.position_embedding.weight"]
        self.patches = PatchEmbedding(weights, positions, scale)
        prefix = f"{VISION}.encoder.layers"
        self.layers = layers(weights, prefix, shape, until=shape.layers)
        self.norm_after = layer_norm(weights, f"{VISION}.post_layernorm", shape.epsilon)
        self.pool = _AttentionPool(weights, f"{VISION}.head", shape)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8[n, size, size, 3] to unit vectors."""
        hidden = self.patches(pixels)
        for layer in self.layers:
            hidden = layer(hidden, None)
        return unit(self.pool(self.norm_after(hidden)))


class _AttentionPool(nn.Module):
    def __init__(self, weights: Weights, prefix: str, shape: Shape) -> None:
        super().__init__()
        matrices = weights[f"{prefix}.attention.in_proj_weight"].T
        biases = weights[f"{prefix}.attention.in_proj_bias"]
        dim = len(matrices)
        # The query is the same for every picture, so that its projection is a constant.
        query = weights[f"{prefix}.probe"] @ matrices[:, :dim] + biases[:dim]
        self.query = nn.Parameter(query, requires_grad=False)
        self.key_value = Linear(matrices[:, dim:], biases[dim:])
        self.attended = linear(weights, f"{prefix}.attention.out_proj")
        self.perceptron = Perceptron(weights, f"{prefix}.layernorm", f"{prefix}.mlp", shape)
        self.attend = Attention(shape.heads)

    def forward(self, hidden: Tensor) -> Tensor:
        key, value = self.key_value(hidden).chunk(2, dim=-1)
        query = self.query.expand(hidden.shape[0], -1, -1)
        mixed = self.attend(query, key, value, None)
        return self.perceptron(self.attended(mixed)).squeeze(1)


class ClipTextTower(nn.Module):
    """Each token sees those before it; the end token, which sees all, is read.

    Padding follows the end and is therefore seen by nobody who counts: no mask is needed.
    """

    def __init__(self, weights: Weights, shape: Shape, end_id: int) -> None:
        super().__init__()
        self.words = _Words(weights)
        last = shape.layers - 1
        self.layers = layers(weights, f"{TEXT}.encoder.layers", shape, until=last)
        self.last = LastLayer(weights, f"{TEXT}.encoder.layers.{last}", shape)
        self.norm_after = layer_norm(weights, f"{TEXT}.final_layer_norm", shape.epsilon)
        self.project = linear(weights, "text_projection")
        limit = len(self.words.positions)
        ahead = torch.full((limit, limit), FORBIDDEN).triu(1)
        self.ahead = nn.Parameter(ahead, requires_grad=False)
        self.end_id = end_id

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids int64[n, tokens] to unit vectors."""
        n, tokens = ids.shape
        ahead = self.ahead[:tokens, :tokens]
        hidden = self.words(ids)
        for layer in self.layers:
            hidden = layer(hidden, ahead)
        ends = ids if self.end_id == LEGACY_END else (ids == self.end_id).to(torch.int64)
        place = ends.argmax(dim=-1)
        row = hidden[torch.arange(n), place].unsqueeze(1)
        row = self.last(hidden, row, ahead[place][:, None, None, :])
        return unit(self.project(self.norm_after(row)).squeeze(1))


class SiglipTextTower(nn.Module):
    """Every token sees every other, padding too, and the last is read: trained like that."""

    def __init__(self, weights: Weights, shape: Shape) -> None:
        super().__init__()
        self.words = _Words(weights)
        last = shape.layers - 1
        self.layers = layers(weights, f"{TEXT}.encoder.layers", shape, until=last)
        self.last = LastLayer(weights, f"{TEXT}.encoder.layers.{last}", shape)
        self.norm_after = layer_norm(weights, f"{TEXT}.final_layer_norm", shape.epsilon)
        self.project = linear(weights, f"{TEXT}.head")

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids int64[n, max_tokens] to unit vectors."""
        hidden = self.words(ids)
        for layer in self.layers:
            hidden = layer(hidden, None)
        row = self.last(hidden, hidden[:, -1:], None)
        return unit(self.project(self.norm_after(row)).squeeze(1))


class _Words(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        embeddings = f"{TEXT}.embeddings"
        words = weights[f"{embeddings}.token_embedding.weight"]
        positions = weights[f"{embeddings}.position_embedding.weight"]
        self.words = nn.Parameter(words, requires_grad=False)
        self.positions = nn.Parameter(positions, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        # Not functional.embedding: the exporter would name its output like the graph's own.
        rows = self.words.index_select(0, ids.flatten())
        return rows.reshape(*ids.shape, -1) + self.positions[: ids.shape[1]]

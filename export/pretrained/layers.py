"""The parts of which CLIP's and SigLIP's towers consist, written for plain graphs.

The models of transformers are not traced: written out, a graph is the same under
every version of theirs, computes in the last layer only the row that is read, and has
its linear maps where int8 can replace them. That both agree is measured, not assumed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.pretrained.errors import ExportError

Weights = Mapping[str, Tensor]

QUICK_GELU_SLOPE = 1.702


def _quick_gelu(rows: Tensor) -> Tensor:
    return rows * torch.sigmoid(QUICK_GELU_SLOPE * rows)


def _tanh_gelu(rows: Tensor) -> Tensor:
    return functional.gelu(rows, approximate="tanh")


Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: Mapping[str, Activation] = {
    "quick_gelu": _quick_gelu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
}
"""By transformers' name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights do not say: how a tower's layers are to be computed."""

    layers: int
    heads: int
    activation: str
    epsilon: float

    @property
    def activate(self) -> Activation:
        """Raises ExportError on an activation that no published model had."""
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ExportError(
                f"config.json: hidden_act {self.activation!r} is not known; known: {known}"
            )
        return ACTIVATIONS[self.activation]


class Linear(nn.Module):
    """An affine map whose matrix lies as ONNX's MatMul takes it, [in, out]."""

    def __init__(self, matrix: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix.contiguous(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., in] to [..., out]."""
        mapped = rows @ self.matrix
        return mapped if self.bias is None else mapped + self.bias


def linear(weights: Weights, *names: str) -> Linear:
    """Several maps of the same rows become one, whose answers stand side by side."""
    matrix = torch.cat([weights[f"{name}.weight"] for name in names]).T
    if f"{names[0]}.bias" not in weights:
        return Linear(matrix)
    return Linear(matrix, torch.cat([weights[f"{name}.bias"] for name in names]))


def layer_norm(weights: Weights, name: str, epsilon: float) -> nn.LayerNorm:
    """A layer normalisation with these weights."""
    norm = nn.LayerNorm(weights[f"{name}.weight"].numel(), eps=epsilon)
    norm.load_state_dict({key: weights[f"{name}.{key}"] for key in ("weight", "bias")})
    return norm.requires_grad_(requires_grad=False)


class Attention(nn.Module):
    """Mixes rows of values for each query, written out as the products that it consists of."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, query: Tensor, key: Tensor, value: Tensor, penalty: Tensor | None) -> Tensor:
        """[n, queries, dim] of [n, rows, dim]; `penalty` is added to the logits."""
        n, rows, dim = key.shape
        width = dim // self.heads
        asked = query.reshape(n, -1, self.heads, width).transpose(1, 2)
        keys = key.reshape(n, rows, self.heads, width).permute(0, 2, 3, 1)
        values = value.reshape(n, rows, self.heads, width).transpose(1, 2)
        logits = (asked * (1 / math.sqrt(width))) @ keys
        if penalty is not None:
            logits = logits + penalty
        return (torch.softmax(logits, dim=-1) @ values).transpose(1, 2).reshape(n, -1, dim)


class Perceptron(nn.Module):
    """Normalise, widen, activate, narrow, and add to what came in."""

    def __init__(self, weights: Weights, norm: str, mlp: str, shape: Shape) -> None:
        super().__init__()
        self.norm = layer_norm(weights, norm, shape.epsilon)
        self.widen = linear(weights, f"{mlp}.fc1")
        self.narrow = linear(weights, f"{mlp}.fc2")
        self.activate = shape.activate

    def forward(self, hidden: Tensor) -> Tensor:
        """Each row for itself."""
        return hidden + self.narrow(self.activate(self.widen(self.norm(hidden))))


class Layer(nn.Module):
    """Attention among all rows, then a perceptron."""

    def __init__(self, weights: Weights, prefix: str, shape: Shape) -> None:
        super().__init__()
        attention = f"{prefix}.self_attn"
        self.norm = layer_norm(weights, f"{prefix}.layer_norm1", shape.epsilon)
        self.project = linear(weights, *(f"{attention}.{one}_proj" for one in "qkv"))
        self.attended = linear(weights, f"{attention}.out_proj")
        self.perceptron = Perceptron(weights, f"{prefix}.layer_norm2", f"{prefix}.mlp", shape)
        self.attend = Attention(shape.heads)

    def forward(self, hidden: Tensor, penalty: Tensor | None) -> Tensor:
        """Hidden states [n, rows, dim]; `penalty` is added to the attention's logits."""
        query, key, value = self.project(self.norm(hidden)).chunk(3, dim=-1)
        mixed = self.attend(query, key, value, penalty)
        return self.perceptron(hidden + self.attended(mixed))


class LastLayer(nn.Module):
    """A layer of which a single row will be read: only that row asks and is transformed."""

    def __init__(self, weights: Weights, prefix: str, shape: Shape) -> None:
        super().__init__()
        attention = f"{prefix}.self_attn"
        self.norm = layer_norm(weights, f"{prefix}.layer_norm1", shape.epsilon)
        self.query = linear(weights, f"{attention}.q_proj")
        self.key_value = linear(weights, f"{attention}.k_proj", f"{attention}.v_proj")
        self.attended = linear(weights, f"{attention}.out_proj")
        self.perceptron = Perceptron(weights, f"{prefix}.layer_norm2", f"{prefix}.mlp", shape)
        self.attend = Attention(shape.heads)

    def forward(self, hidden: Tensor, row: Tensor, penalty: Tensor | None) -> Tensor:
        """Hidden states [n, rows, dim] and the row that is read, [n, 1, dim]; answers a row."""
        key, value = self.key_value(self.norm(hidden)).chunk(2, dim=-1)
        mixed = self.attend(self.query(self.norm(row)), key, value, penalty)
        return self.perceptron(row + self.attended(mixed))


def layers(weights: Weights, prefix: str, shape: Shape, *, until: int) -> nn.ModuleList:
    """The first `until` layers of an encoder."""
    return nn.ModuleList(Layer(weights, f"{prefix}.{index}", shape) for index in range(until))


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1, float32 whatever the tower computes in."""
    return functional.normalize(rows.to(torch.float32), dim=-1)

"""The same tower in another precision: float16 for CUDA, eight-bit products for the CPU.

Weights are stored as int8, by which processors with VNNI instructions multiply 2.5 times as
fast as by uint8. Where there are none, products of uint8 and int8 can overflow, and the server
has onnxruntime take its slower way: see moderation/adapters/encoders/eight_bit.py.
"""

from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from export.pretrained.layers import Attention, Linear
from export.pretrained.towers import PIXEL_STEPS, PatchEmbedding

Precision = Literal["fp32", "fp16", "int8"]

ONNX_DOMAIN_VERSION = 18
INT8_MAX = 127


class Int8Linear(nn.Module):
    """Eight-bit weights with a scale for each output; rows get one scale, as they come.

    Written as the nodes that onnxruntime fuses into one product.
    """

    def __init__(self, exact: Linear) -> None:
        super().__init__()
        self.matrix, self.scale = _quantized(exact.matrix)
        self.bias = exact.bias

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., in] to [..., out]; under torch itself this computes nothing."""
        shape = (*rows.shape[:-1], self.matrix.shape[1])
        quantized, row_scale, zero = torch.onnx.ops.symbolic_multi_out(
            "DynamicQuantizeLinear",
            (rows,),
            dtypes=(torch.uint8, torch.float32, torch.uint8),
            shapes=(rows.shape, (), ()),
            version=ONNX_DOMAIN_VERSION,
        )
        counted = _product(quantized, self.matrix, zero, shape)
        mapped = counted.to(torch.float32) * (row_scale * self.scale)
        return mapped if self.bias is None else mapped + self.bias


class Int8PatchEmbedding(nn.Module):
    """Pixels are bytes already: only the weights are rounded.

    What rounding does to the mean picture is taken back, so that only what differs from it errs.
    """

    def __init__(self, exact: PatchEmbedding) -> None:
        super().__init__()
        self.cut = exact.cut
        self.matrix, scale = _quantized(exact.project.matrix)
        self.scale = nn.Parameter(scale / PIXEL_STEPS, requires_grad=False)
        lost = exact.project.matrix / PIXEL_STEPS - self.matrix.float() * self.scale
        mean_patch = exact.mean_pixel.float().repeat(exact.patch_px**2)
        self.pixel_zero = nn.Parameter(torch.tensor(0, dtype=torch.uint8), requires_grad=False)
        self.shift = nn.Parameter(exact.shift + mean_patch @ lost, requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """See PatchEmbedding."""
        flat = self.cut(pixels)
        shape = (*flat.shape[:-1], self.matrix.shape[1])
        counted = _product(flat, self.matrix, self.pixel_zero, shape)
        return counted.to(torch.float32) * self.scale + self.shift


class FusedAttention(nn.Module):
    """Attention as one node: CUDA's only way to a fast kernel, and fewer copies on a CPU.

    What texts forbid each other stays written out: they are encoded on the CPU.
    """

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, query: Tensor, key: Tensor, value: Tensor, penalty: Tensor | None) -> Tensor:
        """See Attention; without a penalty this computes nothing under torch itself."""
        if penalty is not None:
            return cast(Tensor, self.plain(query, key, value, penalty))
        mixed: Tensor = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (query, key, value),
            attrs={"num_heads": self.plain.heads},
            dtype=query.dtype,
            shape=query.shape,
            version=1,
        )
        return mixed


def _product(rows: Tensor, matrix: Tensor, row_zero: Tensor, shape: tuple[int, ...]) -> Tensor:
    # Without a zero point for the matrix: onnxruntime 1.32, asked for its exact way, refuses a
    # graph in which two products share one.
    product: Tensor = torch.onnx.ops.symbolic(
        "MatMulInteger",
        (rows, matrix, row_zero),
        dtype=torch.int32,
        shape=shape,
        version=ONNX_DOMAIN_VERSION,
    )
    return product


def _quantized(matrix: Tensor) -> tuple[nn.Parameter, nn.Parameter]:
    scale = matrix.abs().amax(dim=0).clamp(min=torch.finfo(torch.float32).tiny) / INT8_MAX
    rounded = (matrix / scale).round().to(torch.int8)
    return nn.Parameter(rounded, requires_grad=False), nn.Parameter(scale, requires_grad=False)


Replacements = Mapping[type[nn.Module], Callable[[nn.Module], nn.Module]]
INT8: Replacements = {
    Linear: Int8Linear,
    PatchEmbedding: Int8PatchEmbedding,
    Attention: FusedAttention,
}
FP16: Replacements = {Attention: FusedAttention}


def with_precision(tower: nn.Module, precision: Precision) -> nn.Module:
    """Change the tower in place; what is normalised stays float32."""
    if precision == "fp16":
        _replace_children(tower, FP16)
        return tower.half()
    if precision == "int8":
        _replace_children(tower, INT8)
    return tower


def _replace_children(module: nn.Module, replacements: Replacements) -> None:
    for name, child in module.named_children():
        if replacement := replacements.get(type(child)):
            setattr(module, name, replacement(child))
        else:
            _replace_children(child, replacements)

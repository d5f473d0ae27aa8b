"""Writes a tower as an ONNX graph that varies in its batch, and in its tokens where it may."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from export.pretrained.errors import ExportError

OPSET = 18
PIXELS = "pixels"
IDS = "ids"
OUTPUT = "embedding"
LARGEST_FILE_BYTES = 2**31 - 1
"""What protobuf can hold. Weights in a second file would escape the encoder id."""

Axes = Mapping[int, torch.export.Dim]


def write_image_graph(tower: nn.Module, path: Path, *, size_px: int) -> None:
    """Pixels uint8[n, size, size, 3] to `embedding`."""
    pixels = torch.zeros((2, size_px, size_px, 3), dtype=torch.uint8)
    _write(tower, {PIXELS: pixels}, {PIXELS: {0: torch.export.Dim("n", min=1)}}, path)


def write_text_graph(tower: nn.Module, path: Path, *, max_tokens: int, pad_to_max: bool) -> None:
    """Ids int64[n, tokens] to `embedding`."""
    ids = torch.ones((2, max_tokens if pad_to_max else max_tokens - 1), dtype=torch.int64)
    axes: dict[int, torch.export.Dim] = {0: torch.export.Dim("n", min=1)}
    if not pad_to_max:
        axes[1] = torch.export.Dim("tokens", min=1, max=max_tokens)
    _write(tower, {IDS: ids}, {IDS: axes}, path)


def _write(
    tower: nn.Module, inputs: Mapping[str, Tensor], axes: Mapping[str, Axes], path: Path
) -> None:
    _require_room(tower, path)
    with _quiet_exporter():
        program = torch.onnx.export(
            tower.eval(),
            kwargs=dict(inputs),
            dynamic_shapes=dict(axes),
            input_names=list(inputs),
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    _strip_traces(model.graph)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep back what the exporter says to its own developers, and that torchvision is missing."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            registry.setLevel(level)


def _require_room(tower: nn.Module, path: Path) -> None:
    size = sum(one.numel() * one.element_size() for one in tower.parameters())
    if size > LARGEST_FILE_BYTES:
        raise ExportError(
            f"{path.name}: {size / 1e9:.1f} GB of weights do not fit into one ONNX file, "
            "which ends at 2 GB; export with --precision fp16 or int8"
        )


def _strip_traces(graph: onnx.GraphProto) -> None:
    """Drop the exporter's stack traces: they hold this machine's paths."""
    parts: list[Any] = [graph, *graph.node, *graph.initializer, *graph.input, *graph.output]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""

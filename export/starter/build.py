"""Puts the starter bundle together: both graphs, the tokenizer and the manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import tokenizers
import torch
from torch import Tensor, nn

from export.starter.image_tower import CROP_PX, SIZE_PX, load_image_tower
from export.starter.int8_storage import store_as_int8
from export.starter.joint_space import make_joint_space, read_class_names
from export.starter.sources import ARCHIVES, MODEL_CODE, Sources
from export.starter.text_tower import (
    DIM,
    MAX_TOKENS,
    TextTower,
    load_sentence_encoder,
    read_tokenizer,
)
from moderation.adapters.encoders.manifest import (
    ImageGraph,
    Manifest,
    ScoreDefaults,
    TextGraph,
    TokenizerFile,
    sha256_of,
)

OPSET = 18
IMAGE_FILE = "image.onnx"
TEXT_FILE = "text.onnx"
TOKENIZER_FILE = "tokenizer.json"
OUTPUT = "embedding"

SCORE = ScoreDefaults(scale=1.0, bias=0.33, temperature=0.08, contrast_aggregation="mean")
"""On 1,000 photographs, raw .33 was passed by 1 % of the harmless ones and raw .44 by 0.2 %:
they become scores of .5 and .8, so that one pair of thresholds serves every policy."""
NOTICE = (
    "This is the starter encoder: good for a first try, for tests and for machines without "
    "a network, not for production. It knows what the 1,000 classes of ImageNet let it infer: "
    "objects, animals, food, vehicles, weapons and clothing in photographs. It cannot see "
    "nudity beyond swimwear, gore, blood, hate symbols, text in pictures, actions, age or "
    "emotion; drawings and small objects in busy scenes it sees badly. "
    "To use a CLIP or SigLIP bundle instead, start with --encoder PATH."
)


def build_starter(out: Path, sources: Sources) -> Manifest:
    """Write the bundle into `out` and return its manifest.

    Machines may differ in the last digits of floats, and so in the digests.
    """
    out.mkdir(parents=True, exist_ok=True)
    tokenizer_json = read_tokenizer(sources.text_weights)
    (out / TOKENIZER_FILE).write_bytes(tokenizer_json)
    sentences = load_sentence_encoder(sources.text_weights)
    space = make_joint_space(
        read_class_names(sources.class_names),
        sentences,
        tokenizers.Tokenizer.from_buffer(tokenizer_json),
    )
    _export_image(load_image_tower(sources.image_weights, space.centres), out / IMAGE_FILE)
    _export_text(TextTower(sentences, space.centre).eval(), out / TEXT_FILE)
    manifest = _manifest(out)
    manifest.save(out)
    return manifest


def _export_image(tower: nn.Module, path: Path) -> None:
    pixels = torch.zeros((2, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8)
    batch = torch.export.Dim("n", min=1)
    _export(tower, {"pixels": pixels}, {"pixels": {0: batch}}, path)


def _export_text(tower: nn.Module, path: Path) -> None:
    ids = torch.ones((2, 7), dtype=torch.int64)
    axes = {0: torch.export.Dim("n", min=1), 1: torch.export.Dim("tokens", max=MAX_TOKENS)}
    # Two tensors, though they look alike: the exporter would take one for an alias of the other.
    inputs = {"ids": ids, "mask": ids.clone()}
    _export(tower, inputs, {"ids": axes, "mask": axes}, path)


def _export(
    tower: nn.Module,
    inputs: Mapping[str, Tensor],
    dynamic: Mapping[str, Mapping[int, torch.export.Dim]],
    path: Path,
) -> None:
    program = torch.onnx.export(
        tower,
        kwargs=dict(inputs),
        dynamic_shapes=dict(dynamic),
        input_names=list(inputs),
        output_names=[OUTPUT],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto
    store_as_int8(model)
    _strip_traces(model.graph)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _strip_traces(graph: onnx.GraphProto) -> None:
    """Drop the exporter's stack traces: they hold this machine's paths."""
    parts: list[Any] = [graph, *graph.node, *graph.initializer, *graph.input, *graph.output]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def _manifest(out: Path) -> Manifest:
    files = (IMAGE_FILE, TEXT_FILE, TOKENIZER_FILE)
    return Manifest(
        name="starter",
        family="starter",
        dim=DIM,
        image=ImageGraph(
            file=IMAGE_FILE, size_px=SIZE_PX, crop="center", crop_fraction=SIZE_PX / CROP_PX
        ),
        text=TextGraph(file=TEXT_FILE, max_tokens=MAX_TOKENS),
        tokenizer=TokenizerFile(file=TOKENIZER_FILE),
        score=SCORE,
        files={file: sha256_of(out / file) for file in files},
        sources=(*(archive.as_source() for archive in ARCHIVES), MODEL_CODE),
        notice=NOTICE,
        is_starter=True,
    )

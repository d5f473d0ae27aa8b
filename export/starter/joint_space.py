"""One space for both sides, by a closed form and without training.

Each class of the image model gets the text model's vector of its names; a picture
is then the mean of the classes' vectors under the image model's probabilities
(ConSE, Norouzi et al. 2013). All vectors are taken from the classes' centre.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import tokenizers
import torch
from torch import Tensor
from torch.nn import functional

from export.starter.text_tower import MAX_TOKENS, SentenceEncoder

CLASSES = "timm/data/_info/imagenet_synsets.txt"
NAMES = "timm/data/_info/imagenet_synset_to_lemma.txt"
TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "{}",
    "a close-up photo of a {}.",
)
TEXTS_PER_BATCH = 64


@dataclass(frozen=True, slots=True)
class JointSpace:
    """Where the classes lie: `centres` float32[classes, dim] of unit norm, around `centre`."""

    centres: Tensor
    centre: Tensor


def read_class_names(wheel: Path) -> list[list[str]]:
    """The WordNet names of each ImageNet class, in the order of the image model's answers."""
    with zipfile.ZipFile(wheel) as archive:
        classes = archive.read(CLASSES).decode().split()
        lines = archive.read(NAMES).decode().splitlines()
    names_by_class = dict(line.split("\t") for line in lines)
    return [names_by_class[one].split(", ") for one in classes]


def make_joint_space(
    names: Sequence[Sequence[str]], sentences: SentenceEncoder, tokenizer: tokenizers.Tokenizer
) -> JointSpace:
    """Place each class at the mean of its names under every template."""
    texts = [t.format(name) for synonyms in names for name in synonyms for t in TEMPLATES]
    vectors = iter(_embed(texts, sentences, tokenizer))
    means = torch.stack(
        [
            torch.stack(list(islice(vectors, len(synonyms) * len(TEMPLATES)))).mean(dim=0)
            for synonyms in names
        ]
    )
    classes = functional.normalize(means, dim=-1)
    centre = classes.mean(dim=0)
    return JointSpace(functional.normalize(classes - centre, dim=-1), centre)


def _embed(
    texts: Sequence[str], sentences: SentenceEncoder, tokenizer: tokenizers.Tokenizer
) -> Tensor:
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    tokenizer.enable_padding()
    batches = []
    with torch.inference_mode():
        for start in range(0, len(texts), TEXTS_PER_BATCH):
            encodings = tokenizer.encode_batch(list(texts[start : start + TEXTS_PER_BATCH]))
            ids = torch.tensor([encoding.ids for encoding in encodings])
            mask = torch.tensor([encoding.attention_mask for encoding in encodings])
            batches.append(sentences(ids, mask))
    return torch.cat(batches)

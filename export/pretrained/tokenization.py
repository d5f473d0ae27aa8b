"""Makes the tokenizer.json with which a server needs no transformers, and proves that it agrees."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from export.pretrained.errors import ExportError

META_SPACE = "▁"
LAST_SIGMA = r"(?<=\p{L}\p{M}?)Σ(?![\p{L}\p{M}])"
"""Python lowers a sigma at a word's end to ς; tokenizers' Lowercase goes letter by letter."""


def write_tokenizer(tokenizer: Any, path: Path) -> None:  # noqa: ANN401 - transformers has no base type for both kinds
    """Write the tokenizer.json of a transformers tokenizer; raises ExportError."""
    if tokenizer.padding_side != "right":
        raise ExportError(
            f"tokenizer_config.json: padding_side {tokenizer.padding_side!r} is not supported; "
            "the towers read texts that are padded on the right"
        )
    if tokenizer.is_fast:
        made = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    elif hasattr(tokenizer, "canonicalize_text"):
        made = _from_sentencepiece(tokenizer)
    else:
        kind = type(tokenizer).__name__
        raise ExportError(f"tokenizer_config.json: {kind} cannot be written as tokenizer.json")
    made.no_padding()
    made.no_truncation()
    path.write_text(made.to_str(pretty=False), encoding="utf-8")


def reference_ids(tokenizer: Any, texts: Sequence[str], *, max_tokens: int) -> list[list[int]]:  # noqa: ANN401 - see above
    """What transformers makes of these texts, each padded to `max_tokens`."""
    encoded = tokenizer(list(texts), padding="max_length", truncation=True, max_length=max_tokens)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def require_same_ids(
    path: Path, expected: Sequence[Sequence[int]], texts: Sequence[str], pad_id: int
) -> None:
    """Raise ExportError on the first text of which tokenizer.json makes something else."""
    made = Tokenizer.from_file(str(path))
    max_tokens = len(expected[0])
    made.enable_truncation(max_length=max_tokens)
    made.enable_padding(pad_id=pad_id, length=max_tokens)
    for text, ids in zip(texts, expected, strict=True):
        if made.encode(text).ids != list(ids):
            raise ExportError(
                f"{path.name}: makes other ids of {text!r} than transformers does; "
                "texts would be embedded wrongly"
            )


def _from_sentencepiece(tokenizer: Any) -> Tokenizer:  # noqa: ANN401 - see above
    """SigLIP's first tokenizer exists in transformers only as Python around SentencePiece.

    Its canonical form (lower case, no ASCII punctuation, single spaces) becomes normalizers.
    """
    pieces = tokenizer.sp_model
    vocabulary = [(pieces.id_to_piece(n), pieces.get_score(n)) for n in range(len(pieces))]
    made = Tokenizer(models.Unigram(vocabulary, pieces.unk_id(), byte_fallback=False))
    steps: list[Any] = [normalizers.Replace(META_SPACE, " ")]
    if tokenizer.do_lower_case:
        steps += [normalizers.Replace(Regex(LAST_SIGMA), "ς"), normalizers.Lowercase()]
    punctuation = "".join(f"\\x{ord(one):02x}" for one in string.punctuation)
    steps.append(normalizers.Replace(Regex(f"[{punctuation}]"), ""))
    if characters := _characters_map(pieces.serialized_model_proto()):
        steps.append(normalizers.Precompiled(characters))
    steps += [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    made.normalizer = normalizers.Sequence(steps)
    made.pre_tokenizer = pre_tokenizers.Metaspace(META_SPACE, prepend_scheme="always")
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {end[0]}", pair=None, special_tokens=[end]
    )
    specials = dict.fromkeys((tokenizer.eos_token, tokenizer.unk_token, tokenizer.pad_token))
    made.add_special_tokens(
        [AddedToken(one, lstrip=True, rstrip=True, normalized=False) for one in specials]
    )
    return made


def _characters_map(serialized: bytes) -> bytes:
    from transformers.convert_slow_tokenizer import import_protobuf  # noqa: PLC0415

    model = import_protobuf().ModelProto.FromString(serialized)
    characters: bytes = model.normalizer_spec.precompiled_charsmap
    return characters

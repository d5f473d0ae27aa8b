"""Models with random weights, saved as transformers saves them: the real thing in miniature."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import sentencepiece
import torch
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedModel,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
)

WORDS = (
    "a photo of the cat two dogs person holding gun kitchen knife bottle wine lit cigarette "
    "playing cards house fire beach sunset bikini snake tank screenshot chat street night bowl "
    "fruit drawing horse blurry picture straße été картина маслом 東京"
)
MERGES = (("c", "a"), ("ca", "t</w>"), ("d", "o"), ("p", "h"), ("ph", "o"), ("o", "f</w>"))
MINIATURE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
SEED = 7


def clip_vocabulary() -> dict[str, int]:
    """Every byte, alone and at a word's end, a few merges, and the two marks at the end."""
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{one}</w>" for one in letters), *("".join(pair) for pair in MERGES)]
    return {piece: n for n, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's own tokenizer with a small vocabulary."""
    return CLIPTokenizer(vocab=clip_vocabulary(), merges=list(MERGES), model_max_length=77)


def siglip_tokenizer(scratch: Path) -> SiglipTokenizer:
    """SigLIP's own tokenizer around a small SentencePiece model, trained here."""
    corpus = scratch / "corpus.txt"
    corpus.write_text("\n".join([f"{WORDS} {WORDS.title()}"] * 100), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(scratch / "pieces"),
        vocab_size=120,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return SiglipTokenizer(str(scratch / "pieces.model"))


def siglip2_tokenizer() -> Siglip2Tokenizer:
    """SigLIP 2's own: bytes where a letter is unknown, an end token, padded on the right."""
    specials = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abcdefghijklmnopqrst"]
    merges = [("▁", "a"), ("o", "f"), ("▁", "of")]
    vocabulary = {piece: n for n, piece in enumerate([*pieces, *("".join(one) for one in merges)])}
    tokenizer = Siglip2Tokenizer(
        vocab=vocabulary, merges=merges, padding_side="right", model_max_length=64
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", vocabulary["<eos>"])]
    )
    return tokenizer


def miniature_clip(directory: Path) -> Path:
    """Three layers of 64, 64 px in patches of 16."""
    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**MINIATURE, **ends, "vocab_size": len(tokenizer)},
        vision_config={**MINIATURE, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    return _saved(CLIPModel, config, tokenizer, directory, clip_processor(64))


def legacy_clip(directory: Path) -> Path:
    """The end token's id is wrong, as in the configurations of the first releases."""
    miniature_clip(directory)
    config = json.loads((directory / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def miniature_siglip(directory: Path) -> Path:
    """Three layers of 64, and a side of 70 px that patches of 16 do not fill."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = siglip_tokenizer(directory)
    config = SiglipConfig(
        text_config={**MINIATURE, "vocab_size": len(tokenizer), "projection_size": 64},
        vision_config={**MINIATURE, "image_size": 70, "patch_size": 16},
    )
    return _saved(SiglipModel, config, tokenizer, directory, siglip_processor(70))


def clip_of_size(directory: Path, *, vision: Mapping[str, int], text: Mapping[str, int]) -> Path:
    """A model of full size: CLIPConfig's own vocabulary, under the small tokenizer."""
    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**ends, **text},
        vision_config=dict(vision),
        projection_dim=text.get("hidden_size", 512),
    )
    return _saved(CLIPModel, config, tokenizer, directory, clip_processor(224))


MINIATURES: Mapping[str, Callable[[Path], Path]] = {
    "clip": miniature_clip,
    "legacy clip": legacy_clip,
    "siglip": miniature_siglip,
}


def clip_processor(size_px: int) -> dict[str, object]:
    """CLIP's preprocessor_config.json."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "crop_size": {"height": size_px, "width": size_px},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size_px},
    }


def siglip_processor(size_px: int) -> dict[str, object]:
    """SigLIP's preprocessor_config.json."""
    return {
        "image_processor_type": "SiglipImageProcessor",
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": size_px, "width": size_px},
    }


def _saved(
    model: type[PreTrainedModel],
    config: object,
    tokenizer: CLIPTokenizer | SiglipTokenizer,
    directory: Path,
    processor: Mapping[str, object],
) -> Path:
    torch.manual_seed(SEED)
    model(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    (directory / "README.md").write_text("---\ntags:\n- vision\nlicense: mit\n---\n# A model\n")
    return directory

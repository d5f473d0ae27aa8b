"""tokenizer.json alone makes the ids that transformers makes: shown on 1,000 strings."""

import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the [export] extra")

from export.pretrained.errors import ExportError
from export.pretrained.tokenization import reference_ids, require_same_ids, write_tokenizer
from moderation.adapters.encoders.tokenizer import TextTokenizer
from tests.export.models import clip_tokenizer, siglip2_tokenizer, siglip_tokenizer

pytestmark = pytest.mark.slow

N_STRINGS = 1000
SAMPLE = (
    "a photo of the cat dog person holding gun don't WE'LL Straße \u03a3\u039f\u03a6\u039f\u03a3 "
    "\u0391\u03a3. \u03a3 \u038c\u03a3\u039f İstanbul \ufb01re ½ 東京 カタカナ картина ñ é e\u0301 "
    "🙂 👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 1234 3.14 https://x.y/z?a=b #tag @me ---- !!! ... "
    "“quoted” \u200b \u00ad ß ẞ \u2167 \uff46\uff55\uff4c\uff4c naïve नमस्ते مرحبا שלום ไทย "
    "\t \n \u00a0 \u2003 \u3000 ▁ \x00 \x07 \ufffd \ue000 🦿"
)
WORDS = SAMPLE.split(" ")
SEPARATORS = (" ", "  ", "", " , ")
RANGES = (
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x370, 0x5FF),
    (0x4E00, 0x9FFF),
    (0x1F300, 0x1F6FF),
    (0x2000, 0x206F),
)
EDGES = ["", " ", "   ", "▁", "a", "A.", " x ", "word " * 200, "🙂" * 100, "x" * 500]


def many_strings() -> list[str]:
    """Words, arbitrary characters and repetitions; the same ones every time."""
    chance = random.Random(1)
    words = [_words(chance) for _ in range(700)]
    characters = [_characters(chance) for _ in range(200)]
    repeated = [chance.choice(WORDS) * chance.randint(1, 90) for _ in range(100)]
    return [*EDGES, *words, *characters, *repeated][:N_STRINGS]


def _words(chance: random.Random) -> str:
    return chance.choice(SEPARATORS).join(chance.choices(WORDS, k=chance.randint(1, 12)))


def _characters(chance: random.Random) -> str:
    count = chance.randint(1, 40)
    return "".join(chr(chance.randint(*chance.choice(RANGES))) for _ in range(count))


@pytest.fixture(params=["clip", "siglip", "siglip 2"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Any:  # noqa: ANN401 - transformers' own
    makers = {
        "clip": clip_tokenizer,
        "siglip": lambda: siglip_tokenizer(tmp_path),
        "siglip 2": siglip2_tokenizer,
    }
    return makers[request.param]()


def test_a_server_makes_the_ids_that_transformers_makes(tokenizer: Any, tmp_path: Path) -> None:  # noqa: ANN401 - transformers' own
    texts = many_strings()
    max_tokens = tokenizer.model_max_length
    path = tmp_path / "tokenizer.json"

    write_tokenizer(tokenizer, path)
    served = TextTokenizer(
        path, max_tokens=max_tokens, pad_id=tokenizer.pad_token_id, pad_to_max=True
    )

    assert len(texts) == N_STRINGS
    ids, _ = served.encode(texts)
    expected = reference_ids(tokenizer, texts, max_tokens=max_tokens)
    differing = [
        text
        for text, ours, theirs in zip(texts, ids.tolist(), expected, strict=True)
        if ours != theirs
    ]
    assert differing == []


def test_a_tokenizer_that_disagrees_stops_the_export(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer()
    path = tmp_path / "tokenizer.json"
    write_tokenizer(tokenizer, path)
    expected = reference_ids(tokenizer, ["a photo"], max_tokens=8)

    with pytest.raises(ExportError, match=r"makes other ids of 'a phot' than transformers"):
        require_same_ids(path, expected, ["a phot"], tokenizer.pad_token_id)


def test_padding_on_the_left_is_refused(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer()
    tokenizer.padding_side = "left"

    with pytest.raises(ExportError, match="padding_side 'left' is not supported"):
        write_tokenizer(tokenizer, tmp_path / "tokenizer.json")

"""What many policies add to an image's time: scores and reasons against one run of the encoder.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.scoring [--rounds 5] [--encoder BUNDLE]

One thread for the products, as `moderation serve` has it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from benchmarks.rounds import Row, interleaved, parser, report, seconds_per_call
from moderation.adapters.encoders.registry import load_encoder
from moderation.core.content import Embedding
from moderation.core.decision import Options, decide
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import (
    DEFAULT_PROFILE,
    Phrase,
    Policy,
    PolicySet,
    Profile,
    Thresholds,
)
from moderation.core.scoring import CompiledPolicies, compile_policies, score, texts_to_embed

SIZES = ((10, 20), (100, 20), (500, 20), (500, 100))
"""Policies, and phrases of each."""
BATCH = 8
AGGREGATIONS = ("max", "mean", "top_k_mean", "logsumexp")
MS = 1000.0
ENCODER = "encoder, one image of a batch"


def main() -> None:
    """Measure scoring at every size beside the encoder, in turns."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=0.3, help="a size and round")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    arguments = flags.parse_args()
    encoder = load_encoder(arguments.encoder, device="cpu", allow_unverified=True)
    size_px = encoder.info.pixels.size_px
    shape = (BATCH, size_px, size_px, 3)
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    embeddings = encoder.encode_images(pixels)[:1]

    def encode() -> float:
        run = seconds_per_call(lambda: encoder.encode_images(pixels), for_s=arguments.seconds)
        return MS * run / BATCH

    def judge(compiled: CompiledPolicies) -> float:
        cuts = compiled.cuts[DEFAULT_PROFILE]
        options = Options()
        return MS * seconds_per_call(
            lambda: decide(score(embeddings, compiled), compiled, cuts, options, content_id="1"),
            for_s=arguments.seconds,
        )

    variants: dict[str, Callable[[], float]] = {ENCODER: encode}
    for policies, phrases in SIZES:
        compiled = random_policies(policies, phrases, encoder.info)
        name = f"{policies * phrases} phrases, {policies} policies"
        variants[name] = partial(judge, compiled)
    rows = [
        Row(name, "ms", values, "" if name == ENCODER else ENCODER, more_is_better=False)
        for name, values in interleaved(variants, arguments.rounds).items()
    ]
    report(f"scoring, {Path(arguments.encoder).name}", rows, arguments)


def random_policies(policies: int, phrases: int, encoder: EncoderInfo) -> CompiledPolicies:
    """Policies whose phrases point anywhere; half of the phrases are contrast."""
    random = np.random.default_rng(policies + phrases)
    listed = tuple(
        Policy(
            id=f"policy-{number}",
            title=f"Policy {number}",
            phrases=_phrases("violation", number, phrases // 2),
            contrast=_phrases("look-alike", number, phrases - phrases // 2),
            thresholds=Thresholds(0.5, 0.8),
            templates=("{}",),
            aggregation=AGGREGATIONS[number % len(AGGREGATIONS)],
        )
        for number in range(policies)
    )
    policy_set = PolicySet(listed, MappingProxyType({DEFAULT_PROFILE: Profile()}))

    def anywhere() -> Embedding:
        vector = random.normal(size=encoder.dim)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    return compile_policies(
        policy_set,
        encoder_id=encoder.encoder_id,
        scale=encoder.scale,
        embedding_by_text={text: anywhere() for text in sorted(texts_to_embed(policy_set))},
    )


def _phrases(kind: str, number: int, count: int) -> tuple[Phrase, ...]:
    return tuple(Phrase(f"{kind} {number}-{phrase}") for phrase in range(count))


if __name__ == "__main__":
    main()

"""The server that one writes first, as the baseline: it answers the same, in the obvious way.

Synchronous handlers in a pool of threads, every picture decoded at full size, one
picture per run of the encoder, no cache, no admission. Encoder, policies and scoring
are the same: the difference is how it is served.

    python -m benchmarks.naive --policies DIRECTORY
"""

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from benchmarks.whole_picture import full_size_pixels
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.registry import load_encoder
from moderation.adapters.grpc.convert import decision_to_proto
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.decision import Decision, Options, decide
from moderation.core.scoring import CompiledPolicies, score
from moderation.engine import new_id, utc_now
from moderation.service.policy_store import PolicyStore
from moderation.service.telemetry import FanOutTelemetry
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc

THREADS = 32


class NaiveServicer(moderation_pb2_grpc.ModerationServiceServicer):
    """Only Moderate."""

    def __init__(self, encoder: OnnxDualEncoder, policies: CompiledPolicies) -> None:
        self._encoder = encoder
        self._policies = policies

    def Moderate(
        self, request: pb.ModerateRequest, context: grpc.ServicerContext
    ) -> pb.ModerateResponse:
        """Judge one image, from its bytes to its answer on this one thread."""
        pixels = full_size_pixels(request.content.image, self._encoder.info.pixels)
        scores = score(self._encoder.encode_images(pixels), self._policies)
        cuts = self._policies.cuts["default"]
        outcome = decide(
            scores, self._policies, cuts, Options(), content_id=request.content.content_id
        )
        decision = Decision(
            decision_id=new_id(),
            content_id=request.content.content_id,
            action=outcome.action,
            profile="default",
            policy_set_version=self._policies.policy_set.version,
            encoder_id=self._policies.encoder_id,
            decided_at=utc_now(),
            verdicts=outcome.verdicts,
            frames_judged=1,
        )
        return pb.ModerateResponse(decision=decision_to_proto(decision))


async def load_policies(directory: Path, encoder: OnnxDualEncoder) -> CompiledPolicies:
    """The policies of a directory, made ready; raises RuntimeError if they cannot be used."""
    with ThreadPoolExecutor(1) as executor:
        store = PolicyStore(
            source=YamlPolicySource(directory),
            text_encoder=encoder,
            encoder=encoder.info,
            telemetry=FanOutTelemetry(),
            clock=utc_now,
            executor=executor,
        )
        if not await store.reload():
            raise RuntimeError(f"{directory}: {store.status.problems}")
        return store.current


def main() -> None:
    """Serve until the process is ended; the first line of output is the address."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--policies", type=Path, default=Path("policies"))
    arguments.add_argument("--encoder", default="starter")
    chosen = arguments.parse_args()
    encoder = load_encoder(chosen.encoder, device="cpu", allow_unverified=True)
    policies = asyncio.run(load_policies(chosen.policies, encoder))
    server = grpc.server(
        ThreadPoolExecutor(THREADS), options=[("grpc.max_receive_message_length", 64 * 2**20)]
    )
    moderation_pb2_grpc.add_ModerationServiceServicer_to_server(
        NaiveServicer(encoder, policies), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()

"""A running server takes a new calibration over, and drops one that was removed."""

from pathlib import Path

import grpc
import pytest

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.registry import find_bundle
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.calibration import Calibration, PolicyCalibration
from moderation.core.policy import policy_hash
from moderation.core.scoring import ScoreScale
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.e2e.server import Server, running_server

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def judged(server: Server) -> pb.Verdict:
    image = (ROOT / "samples" / "horses.jpg").read_bytes()
    request = pb.ModerateRequest(
        content=pb.Content(image=image, content_id="horses"),
        options=pb.ModerateOptions(include_all_verdicts=True),
    )
    with grpc.insecure_channel(server.address) as channel:
        response = moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(request)
    verdict: pb.Verdict = response.decision.verdicts[0]
    return verdict


def test_a_calibration_is_taken_over_and_given_up_while_serving(tmp_path: Path) -> None:
    (tmp_path / "animals.yaml").write_bytes(
        (ROOT / "samples" / "calibration" / "policies" / "animals.yaml").read_bytes()
    )
    (policy,) = YamlPolicySource(tmp_path).load().policies
    manifest = Manifest.load(find_bundle("starter"))
    score = manifest.score
    default = Calibration(score.bias, score.temperature)
    files = CalibrationFiles(tmp_path, ScoreScale(score.scale, default, score.contrast_aggregation))

    with running_server(tmp_path) as server:
        before = judged(server)
        path = files.save(
            PolicyCalibration(
                policy_id="animals",
                encoder_id=manifest.encoder_id,
                policy_hash=policy_hash(policy),
                fit=Calibration(before.raw_score, 1.0),
                positives=20,
                negatives=20,
            )
        )
        server.wait_for("policies_loaded")
        calibrated = judged(server)
        path.unlink()
        server.wait_for("policies_loaded")
        after = judged(server)

    assert (before.calibrated, calibrated.calibrated, after.calibrated) == (False, True, False)
    assert calibrated.score == pytest.approx(0.5, abs=1e-3)
    assert after.score == pytest.approx(before.score)

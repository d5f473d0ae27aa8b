"""Policies, calibrations and the lock that are replaced together are never mixed."""

import itertools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.policy_yaml import YamlPolicySource, write_binding
from moderation.core.calibration import Calibration, PolicyCalibration
from moderation.core.policy import policy_hash
from moderation.core.solving import OnStale
from moderation.service.calibrating import CalibratedPolicies
from tests.builders import SCALE

ENCODER = "e" * 64
POLICY = """\
id: guns
title: Guns
phrases: [a gun of kind {edit}]
thresholds: {{review: 0.5}}
"""


def test_policies_calibrations_and_lock_are_never_mixed(tmp_path: Path) -> None:
    live = tmp_path / "live"
    put(live, edit=0)
    source = CalibratedPolicies(
        YamlPolicySource(live), CalibrationFiles(live, SCALE), ENCODER, OnStale.REFUSE
    )

    seen: set[str] = set()
    with edited_all_the_time(live):
        while len(seen) < 20:
            found = source.load()  # a stale calibration would be refused
            assert found.encoder is not None
            edit = found.encoder.name
            assert [one.text for one in found.policies[0].phrases] == [f"a gun of kind {edit}"]
            assert found.calibrations["guns"].positives == int(edit)
            seen.add(edit)


def test_a_directory_that_is_gone_has_one_state_too(tmp_path: Path) -> None:
    gone = YamlPolicySource(tmp_path / "gone")

    assert gone.fingerprint() == gone.fingerprint()


def test_every_file_that_decides_is_part_of_the_state(tmp_path: Path) -> None:
    live = tmp_path / "live"
    put(live, edit=1)
    policies, calibrations = YamlPolicySource(live), CalibrationFiles(live, SCALE)

    states = [policies.fingerprint()]
    write_binding(live, encoder_id=ENCODER, name="another")
    states.append(policies.fingerprint())
    (live / "guns.yaml").write_text(POLICY.format(edit=10))
    states.append(policies.fingerprint())
    fitted = [calibrations.fingerprint(ENCODER)]
    (live / "calibration" / ENCODER / "guns.json").write_text("{}")
    fitted.append(calibrations.fingerprint(ENCODER))
    (live / "calibration" / ENCODER / "guns.json").unlink()
    fitted.append(calibrations.fingerprint(ENCODER))

    assert len({str(one) for one in states}) == 3
    assert len({str(one) for one in fitted}) == 3


def test_a_link_to_nothing_is_a_state(tmp_path: Path) -> None:
    directory = tmp_path / "calibration" / ENCODER
    directory.mkdir(parents=True)
    (directory / "guns.json").symlink_to("nothing")

    assert CalibrationFiles(tmp_path, SCALE).fingerprint(ENCODER) == {"guns.json": ()}


def test_calibrations_that_cannot_be_listed_have_a_state_too(tmp_path: Path) -> None:
    directory = tmp_path / "calibration"
    directory.mkdir()
    (directory / ENCODER).symlink_to(ENCODER)  # to itself

    assert "cannot be read" in str(CalibrationFiles(tmp_path, SCALE).fingerprint(ENCODER))


@contextmanager
def edited_all_the_time(live: Path) -> Iterator[None]:
    done = threading.Event()

    def keep_editing() -> None:
        for edit in itertools.count(1):
            if done.wait(0.01):
                return
            put(live, edit)
            shutil.rmtree(live.with_name(str(edit - 2)), ignore_errors=True)

    editing = threading.Thread(target=keep_editing)
    editing.start()
    try:
        yield
    finally:
        done.set()
        editing.join()


def put(live: Path, edit: int) -> None:
    """All files of one edit, put in place together by a link, as a sync of git does it."""
    fresh = live.with_name(str(edit))
    fresh.mkdir()
    (fresh / "guns.yaml").write_text(POLICY.format(edit=edit))
    write_binding(fresh, encoder_id=ENCODER, name=str(edit))
    (policy,) = YamlPolicySource(fresh).load().policies
    CalibrationFiles(fresh, SCALE).save(
        PolicyCalibration(
            policy_id="guns",
            encoder_id=ENCODER,
            policy_hash=policy_hash(policy),
            fit=Calibration(bias=0.0, temperature=1.0),
            positives=edit,
            negatives=20,
        )
    )
    link = live.with_name("new")
    link.symlink_to(fresh.name)
    link.replace(live)

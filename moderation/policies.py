"""From settings to policies with their calibrations, as a server would take them."""

from pathlib import Path

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import BindingRule, PolicySet
from moderation.core.solving import OnStale, require_solved
from moderation.service.binding import misfit
from moderation.service.calibrating import CalibratedPolicies
from moderation.settings import Settings


def calibrated_policies(
    directory: Path, encoder: EncoderInfo, on_stale: OnStale
) -> CalibratedPolicies:
    """The policies of a directory with their calibrations for this encoder."""
    return CalibratedPolicies(
        YamlPolicySource(directory),
        CalibrationFiles(directory, encoder.scale),
        encoder.encoder_id,
        on_stale,
    )


def servable_policies(settings: Settings, encoder: EncoderInfo) -> PolicySet:
    """The policy set that a server with these settings would take; raises PolicySetRejected."""
    policies = settings.policies
    policy_set = calibrated_policies(
        policies.directory, encoder, OnStale(policies.stale_calibration)
    ).load()
    require_solved(policy_set)
    rule = BindingRule(policies.encoder_binding)
    problem = misfit(policy_set, encoder, rule)
    if problem and rule is BindingRule.REFUSE:
        raise PolicySetRejected((problem,))
    return policy_set

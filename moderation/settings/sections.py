"""Every setting by section."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from moderation.settings.edge import LimitSettings, LogSettings, MetricsSettings, ServerSettings
from moderation.settings.fetch import FetchSettings
from moderation.settings.identity import IdentitySettings
from moderation.settings.judging import (
    BatchingSettings,
    CacheSettings,
    DecodeSettings,
    EncoderSettings,
    PolicySettings,
    ShadowEncoderSettings,
)
from moderation.settings.keeping import DecisionLogSettings, RecentSettings
from moderation.settings.package import PackageSettings
from moderation.settings.tracing import TracingSettings
from moderation.settings.transport import TlsSettings
from moderation.settings.watching import DriftSettings

PREFIX = "MODERATION_"
DELIMITER = "__"


class Settings(BaseSettings):
    """All settings; build one with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid", frozen=True
    )

    server: ServerSettings = ServerSettings()
    identity: IdentitySettings = IdentitySettings()
    tls: TlsSettings = TlsSettings()
    fetch: FetchSettings = FetchSettings()
    metrics: MetricsSettings = MetricsSettings()
    encoder: EncoderSettings = EncoderSettings()
    policies: PolicySettings = PolicySettings()
    package: PackageSettings = PackageSettings()
    shadow_encoder: ShadowEncoderSettings = ShadowEncoderSettings()
    decode: DecodeSettings = DecodeSettings()
    batching: BatchingSettings = BatchingSettings()
    cache: CacheSettings = CacheSettings()
    limits: LimitSettings = LimitSettings()
    recent: RecentSettings = RecentSettings()
    decision_log: DecisionLogSettings = DecisionLogSettings()
    drift: DriftSettings = DriftSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

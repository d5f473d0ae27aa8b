"""Every setting of the service: the only reader of the environment and the config file.

A value comes from, in this order: a flag of the command line, an environment
variable (`MODERATION_SERVER__PORT`), the file named by `--config` or
`MODERATION_CONFIG` (TOML or YAML), the default.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

PREFIX = "MODERATION_"
DELIMITER = "__"
CONFIG_VARIABLE = "MODERATION_CONFIG"

SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
"""What Kubernetes puts into every pod beside a service whose name starts with `moderation`."""

DEVICES = r"^(auto|cpu|(cuda|tensorrt)(:\d{1,2})?(,(cuda|tensorrt)(:\d{1,2})?)*)$"

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SettingsError(ValueError):
    """A setting is wrong; the message names it and where it came from."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Section):
    """The gRPC server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(50051, description="Port to listen on; 0 takes a free one.")
    insecure: bool = Field(
        False, description="Allow plain text on an address that other machines can reach."
    )
    reflection: bool = Field(True, description="Answer gRPC reflection, for grpcurl and its like.")
    max_message_bytes: Count = Field(64 * 2**20, description="Largest message, a batch included.")
    max_batch_contents: Count = Field(256, description="Most images in one ModerateBatch.")
    items_in_flight: Count = Field(
        32, description="Most images of one batch or stream under way at once."
    )
    max_streams_per_connection: Count = Field(
        256, description="Most RPCs under way on one connection."
    )
    grace_s: Seconds = Field(20.0, description="Time for running requests to end at a stop.")


class MetricsSettings(_Section):
    """The metrics endpoint."""

    host: str = Field("127.0.0.1", description="Address of the metrics endpoint.")
    port: Port = Field(9464, description="Port of /metrics; 0 takes a free one.")


class EncoderSettings(_Section):
    """The encoder."""

    bundle: str = Field(
        "starter", description="Name of a bundled or stored encoder, or a bundle directory."
    )
    store: str = Field(
        "", description="Directory of stored encoders; empty: in the user's cache directory."
    )
    device: str = Field(
        "auto",
        pattern=DEVICES,
        description="auto, cpu, cuda or tensorrt; the last two refuse to start without, and "
        "take numbers: cuda:0,cuda:1.",
    )
    threads: int = Field(0, ge=0, description="Threads of one inference; 0 takes every core.")
    spinning: bool = Field(
        False, description="Let idle inference threads keep a core busy while they wait."
    )
    gpu_memory_limit_bytes: int = Field(
        0, ge=0, description="Most GPU memory of one session's arena; 0: no limit."
    )
    engine_cache: str = Field(
        "", description="Directory of TensorRT's engines; empty: in the user's cache directory."
    )
    allow_unverified: bool = Field(
        False, description="Load a bundle whose parity report is missing or failing."
    )


class PolicySettings(_Section):
    """The policy files."""

    directory: Path = Field(Path("policies"), description="Directory of the policy files.")
    recheck_s: Seconds = Field(
        30.0, description="How often to look for edits that the kernel did not tell of."
    )
    encoder_binding: Literal["refuse", "warn", "ignore"] = Field(
        "refuse", description="What to do where encoder.lock names an encoder that does not run."
    )
    require_tests: bool = Field(
        False, description="Activate no policy set that fails its tests, or that has none."
    )
    cache_directory: Path = Field(
        Path("var/cache"), description="Where commands keep embeddings of the policies' texts."
    )
    state_directory: Path = Field(
        Path("var/policies"),
        description="Directory where activated policy sets are kept, for restarts and rollbacks.",
    )
    max_age_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Say NOT_SERVING once the policy files have not confirmed the active set "
        "for so long; 0 sets no limit.",
    )
    stale_calibration: Literal["refuse", "mark"] = Field(
        "refuse", description="What happens to a calibration whose policy was reworded since."
    )


class ShadowEncoderSettings(_Section):
    """A second encoder, shown a share of the content to see what a swap would change."""

    bundle: str = Field("", description="Its name or bundle directory; empty: there is none.")
    share: float = Field(0.05, gt=0, le=1, description="Share of the content that it sees.")
    directory: Path = Field(
        Path("var/encoder-pairs"), description="Where the scores of both encoders are kept."
    )
    max_pairs: Count = Field(100_000, description="Most contents kept; the oldest go first.")
    max_waiting: Count = Field(8, description="Most contents that wait for it; more are dropped.")


class DecodeSettings(_Section):
    """What an image may cost."""

    threads: Count = Field(2, description="Images decoded at once.")
    max_image_bytes: Count = Field(20 * 2**20, description="Largest image file.")
    max_pixels: Count = Field(25_000_000, description="Most pixels of one frame.")
    min_side_px: Count = Field(8, description="Shortest side; less shows only a colour.")
    max_scans: Count = Field(50, description="Most scans of a progressive JPEG.")
    max_frames: Count = Field(1000, description="Most frames of an animation.")
    max_animation_pixels: Count = Field(
        200_000_000, description="Most pixels of all frames of an animation together."
    )
    max_frames_judged: Count = Field(8, description="Frames looked at, evenly spaced.")
    max_aspect_ratio: float = Field(
        100.0, ge=1, allow_inf_nan=False, description="Longer side over the shorter one."
    )


class BatchingSettings(_Section):
    """Batches for the encoder."""

    max_batch_size: Count = Field(8, description="Most frames in one batch.")
    max_queue_size: Count = Field(256, description="Most frames that wait, of each priority.")
    batches_in_flight: int = Field(
        0, ge=0, description="Batches that run at once on a device; 0: two on a GPU, else one."
    )
    bulk_share: float = Field(
        0.25, ge=0, le=1, description="Least share of the places that bulk has beside interactive."
    )


class CacheSettings(_Section):
    """Embeddings of contents seen before."""

    max_bytes: int = Field(
        64 * 2**20, ge=0, description="Memory for them, about 2 KB an image; 0 keeps none."
    )
    refusal_s: Seconds = Field(
        300.0, description="How long it is remembered that content cannot be judged."
    )


class LimitSettings(_Section):
    """How much may be under way at once."""

    max_in_flight: Count = Field(256, description="Most requests under way.")
    max_in_flight_bytes: Count = Field(256 * 2**20, description="Most image bytes under way.")
    max_request_s: Seconds = Field(10.0, description="Longest that a request may take.")
    target_wait_s: Seconds = Field(
        0.5, description="Wait beyond which fewer interactive requests are let in."
    )


class RecentSettings(_Section):
    """Embeddings of recent contents, on which a change of policies can be tried."""

    enabled: bool = Field(
        False, description="Keep them on disk; they are personal data where the pictures are."
    )
    directory: Path = Field(Path("var/recent"), description="Directory of the embeddings.")
    max_frames: Count = Field(100_000, description="Most frames kept, each about 2 KB.")
    max_age_s: Seconds = Field(7 * 86400.0, description="Longest that one is kept.")


class LogSettings(_Section):
    """The log."""

    format: Literal["json", "pretty"] = Field(
        "pretty", description="One JSON object a line, or text."
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")


class Settings(BaseSettings):
    """All settings; build one with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid", frozen=True
    )

    server: ServerSettings = ServerSettings()
    metrics: MetricsSettings = MetricsSettings()
    encoder: EncoderSettings = EncoderSettings()
    policies: PolicySettings = PolicySettings()
    shadow_encoder: ShadowEncoderSettings = ShadowEncoderSettings()
    decode: DecodeSettings = DecodeSettings()
    batching: BatchingSettings = BatchingSettings()
    cache: CacheSettings = CacheSettings()
    limits: LimitSettings = LimitSettings()
    recent: RecentSettings = RecentSettings()
    log: LogSettings = LogSettings()


def load_settings(flags: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Settings from flags (a nested mapping), environment and file; raises SettingsError."""
    path = config or _config_from_environment()
    _refuse_unknown_variables(os.environ)
    in_file = {} if path is None else _read(path)

    class SettingsWithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, in_file)

    try:
        return SettingsWithFile(**flags)
    except ValidationError as error:
        lines = [_explain(one, flags, path) for one in error.errors()]
        raise SettingsError("\n".join(lines)) from error


def is_reachable_from_outside(host: str) -> bool:
    """Whether other machines can connect to this address."""
    if host == "localhost":
        return False
    try:
        return not ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return True


def cache_directory() -> Path:
    """Where this user keeps what can be fetched or made again; not created here."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path there counts as none.
    base = Path(cache) if Path(cache).is_absolute() else Path("~/.cache").expanduser()
    return base / "moderation"


def bundle_store(settings: Settings) -> Path:
    """Where encoders are kept by name; not created here."""
    return Path(settings.encoder.store or cache_directory() / "bundles").expanduser()


def setting_names() -> Iterator[str]:
    """Every setting as `section.name`."""
    for section, field in Settings.model_fields.items():
        for name in field.default.__class__.model_fields:
            yield f"{section}.{name}"


def variable_of(setting: str) -> str:
    """The environment variable of a setting: `server.port` -> `MODERATION_SERVER__PORT`."""
    return PREFIX + setting.replace(".", DELIMITER).upper()


def _config_from_environment() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {variable_of(setting) for setting in setting_names()} | {CONFIG_VARIABLE}
    for variable in sorted(environment):
        name = variable.upper()
        if not name.startswith(PREFIX) or _is_service_link(name, environment[variable]):
            continue
        if name not in known:
            raise SettingsError(f"{variable}: there is no such setting{_nearest(name, known)}")


def _is_service_link(name: str, value: str) -> bool:
    is_address = name.endswith("_PORT") and "://" in value
    return is_address or SERVICE_LINK.fullmatch(name) is not None


def _load_yaml(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


READERS: Mapping[str, Callable[[str], object]] = {
    ".toml": tomllib.loads,
    ".yaml": _load_yaml,
    ".yml": _load_yaml,
}


def _read(path: Path) -> dict[str, Any]:
    read = READERS.get(path.suffix)
    if read is None:
        raise SettingsError(f"{path}: a config file must end in {', '.join(READERS)}")
    try:
        values = read(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        origin = f"(from --config or {CONFIG_VARIABLE})"
        raise SettingsError(f"{path}: there is no such file {origin}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SettingsError(f"{place}: is not valid YAML: {error.problem}") from error
    except (OSError, ValueError, YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise SettingsError(f"{path}: must hold sections such as `server`, not a {kind}")
    return values


def _explain(error: ErrorDetails, flags: Mapping[str, Any], path: Path | None) -> str:
    setting = ".".join(str(part) for part in error["loc"])
    place = _place(setting, flags, path)
    if error["type"] == "extra_forbidden":
        known = {*setting_names(), *Settings.model_fields}
        return f"{setting}: there is no such setting{_nearest(setting, known)} ({place})"
    return f"{setting}: {error['msg']}, got {error['input']!r} ({place})"


def _place(setting: str, flags: Mapping[str, Any], path: Path | None) -> str:
    """Where a value came from, asked in the order of precedence."""
    section, _, name = setting.partition(".")
    if section in flags and (not name or name in flags[section]):
        return "from a flag"
    variables = {variable.upper(): variable for variable in os.environ}
    if variable := variables.get(variable_of(setting)):
        return f"from {variable}"
    return f"from {path}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""

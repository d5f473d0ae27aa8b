"""Every setting by section, with its default and its bounds."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "MODERATION_"
DELIMITER = "__"

DEVICES = r"^(auto|cpu|(cuda|tensorrt)(:\d{1,2})?(,(cuda|tensorrt)(:\d{1,2})?)*)$"

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    max_connections: Count = Field(1000, description="Most connections; further ones are closed.")
    max_connection_age_s: Seconds = Field(
        3600.0,
        description="Age at which a client is told to connect anew; its streams have 5 minutes.",
    )
    stream_idle_s: Seconds = Field(
        300.0, description="Longest that a stream may stay without an image under way."
    )
    drain_s: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="Time to answer on at a stop after saying NOT_SERVING, so that clients leave.",
    )
    grace_s: Seconds = Field(
        20.0, description="Time after that for requests under way to end; the port is closed."
    )


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
    max_run_s: Seconds = Field(
        30.0,
        description="Longest that one batch may compute: then it is broken off. If that does not "
        "help, the process ends with exit code 70 after twice the time.",
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
        Path("var/cache"),
        description="Where embeddings of the policies' texts are kept, by the server and by "
        "commands, so that the next start need not compute them.",
    )
    cache_max_bytes: int = Field(
        256 * 2**20,
        ge=0,
        description="Most that they may take for one encoder, about 2 KB a text; 0 keeps none.",
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
    isolation: Literal["process", "thread"] = Field(
        "process",
        description="Decode in processes of their own, or on threads, where a bug of a decoder "
        "takes the service with it.",
    )
    timeout_s: float = Field(
        8.0, gt=0, le=60, description="Longest that decoding one image may take, in a process."
    )
    max_memory_bytes: int = Field(
        768 * 2**20,
        ge=192 * 2**20,
        le=64 * 2**30,
        description="Most address space of a decoding process, the program's own included.",
    )
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
    max_memory_share: float = Field(
        0.95, gt=0, le=1, description="Turn requests away above this share of the memory."
    )
    max_memory_bytes: int = Field(
        0, ge=0, description="Memory for this process; 0: what its cgroup allows, if it says."
    )
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


class DecisionLogSettings(_Section):
    """A record of every decision, to check, appeal and replay it."""

    directory: str = Field("", description="Directory of the decision log; empty: there is none.")
    mandatory: bool = Field(
        False, description="Give no answer that cannot be recorded; else answer and raise an alarm."
    )
    fsync: Literal["always", "interval", "never"] = Field(
        "interval",
        description="When records reach the disk: before the answer, every fsync_every_s, or "
        "when the operating system likes.",
    )
    fsync_every_s: Seconds = Field(1.0, description="How often, with fsync interval.")
    segment_bytes: int = Field(
        64 * 2**20, ge=4096, description="Size from which on a new file is begun."
    )
    segment_s: Seconds = Field(86400.0, description="Age from which on a new file is begun.")
    max_age_s: float = Field(
        90 * 86400.0,
        ge=0,
        allow_inf_nan=False,
        description="How long records are kept after their file was ended; 0: for good.",
    )
    max_bytes: int = Field(
        10 * 2**30, ge=0, description="Most bytes of a server's files, the oldest go; 0: no limit."
    )
    keep_embeddings: bool = Field(
        False, description="Keep embeddings in the records, for replays without the picture."
    )
    digest_key_file: str = Field(
        "", description="File with a key for the contents' digests; empty: plain sha256."
    )
    encryption_key_file: str = Field(
        "", description="File of Fernet keys, one a line, the first encrypts; empty: plain text."
    )


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
    decision_log: DecisionLogSettings = DecisionLogSettings()
    log: LogSettings = LogSettings()

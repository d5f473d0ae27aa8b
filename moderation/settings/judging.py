"""What turns an image into a decision: decoding, the encoder, its batches, the policies."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from moderation.settings.section import Count, Seconds, Section

DEVICES = r"^(auto|cpu|(cuda|tensorrt)(:\d{1,2})?(,(cuda|tensorrt)(:\d{1,2})?)*)$"


class DecodeSettings(Section):
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
        64_000_000, description="Most pixels of all frames of an animation together."
    )
    max_frames_judged: Count = Field(8, description="Frames looked at, evenly spaced.")
    max_aspect_ratio: float = Field(
        100.0, ge=1, allow_inf_nan=False, description="Longer side over the shorter one."
    )


class EncoderSettings(Section):
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


class ShadowEncoderSettings(Section):
    """A second encoder, shown a share of the content to see what a swap would change."""

    bundle: str = Field("", description="Its name or bundle directory; empty: there is none.")
    share: float = Field(0.05, gt=0, le=1, description="Share of the content that it sees.")
    directory: Path = Field(
        Path("var/encoder-pairs"), description="Where the scores of both encoders are kept."
    )
    max_pairs: Count = Field(100_000, description="Most contents kept; the oldest go first.")
    max_waiting: Count = Field(8, description="Most contents that wait for it; more are dropped.")


class BatchingSettings(Section):
    """Batches for the encoder."""

    max_batch_size: Count = Field(8, description="Most frames in one batch.")
    max_queue_size: Count = Field(256, description="Most frames that wait, of each priority.")
    batches_in_flight: int = Field(
        0, ge=0, description="Batches that run at once on a device; 0: two on a GPU, else one."
    )
    bulk_share: float = Field(
        0.25, ge=0, le=1, description="Least share of the places that bulk has beside interactive."
    )


class CacheSettings(Section):
    """Embeddings of contents seen before."""

    max_bytes: int = Field(
        64 * 2**20, ge=0, description="Memory for them, about 2 KB an image; 0 keeps none."
    )
    refusal_s: Seconds = Field(
        300.0, description="How long it is remembered that content cannot be judged."
    )
    directory: str = Field(
        "",
        description="Directory where they are kept on disk too, for restarts and for more than "
        "fits into memory; they are personal data where the pictures are. Empty: nowhere.",
    )
    max_disk_bytes: int = Field(
        2**30, ge=2**20, description="Most bytes of a file there, the oldest go."
    )
    max_age_s: Seconds = Field(7 * 86400.0, description="Longest that one is kept there.")


class PolicySettings(Section):
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

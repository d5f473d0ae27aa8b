"""What clients, operators and other machines meet: the server, its limits, metrics, the log."""

from typing import Literal

from pydantic import Field

from moderation.settings.section import Count, Port, Seconds, Section


class ServerSettings(Section):
    """The gRPC server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(50051, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the port, each with an encoder of its own; they share "
        "the limits too.",
    )
    insecure: bool = Field(
        False, description="Allow plain text on an address that other machines can reach."
    )
    reflection: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Answer gRPC reflection, for grpcurl and its like; auto: only on addresses "
        "that no other machine can reach.",
    )
    max_message_bytes: Count = Field(64 * 2**20, description="Largest message, a batch included.")
    max_batch_contents: Count = Field(256, description="Most images in one ModerateBatch.")
    max_arrival_s: Seconds = Field(
        60.0,
        description="Longest that the message of a call may take to arrive; a stream has "
        "stream_idle_s for each.",
    )
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
    max_connection_idle_s: Seconds = Field(
        120.0, description="Longest that a connection may stay without an RPC."
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


class LimitSettings(Section):
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


class MetricsSettings(Section):
    """The metrics endpoint."""

    host: str = Field("127.0.0.1", description="Address of the metrics endpoint.")
    port: Port = Field(9464, description="Port of /metrics; 0 takes a free one.")


class LogSettings(Section):
    """The log."""

    format: Literal["json", "pretty"] = Field(
        "pretty", description="One JSON object a line, or text."
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")

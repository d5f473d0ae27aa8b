"""What the limit is, and how near it is."""

from boards.panels import JOB, Board, Panel, mean, quantiles, rate_by

CAPACITY = Board(
    "Moderation: capacity",
    "What is the limit, and how near is it?",
    {
        "Work": [
            Panel(
                "Requests under way",
                "Beyond the limit, which follows the measured wait, they are turned away.",
                [
                    (f"moderation_in_flight{{{JOB}}}", "{{instance}}"),
                    (f"moderation_admission_limit{{{JOB}}}", "{{instance}}, limit"),
                ],
            ),
            Panel(
                "Frames that wait for the encoder",
                "Beyond batching.max_queue_size requests are turned away.",
                [(f"moderation_queue_depth{{{JOB}}}", "{{instance}}")],
            ),
            Panel(
                "Time by stage",
                "The mean; queue above encode means that more arrives than the encoder takes.",
                [(mean("moderation_stage_duration_seconds", "stage"), "{{stage}}")],
                "s",
                "stack",
            ),
        ],
        "Encoder": [
            Panel(
                "Frames encoded",
                "A second, by server.",
                [rate_by("instance", "moderation_batch_size_sum")],
                "reqps",
            ),
            Panel(
                "Encoder busy",
                "The share of time that a batch was running; more than 1 with several in flight.",
                [rate_by("instance", "moderation_batch_duration_seconds_sum")],
                "percentunit",
            ),
            Panel(
                "Frames in a batch",
                "The mean; always at batching.max_batch_size means that the encoder is the limit.",
                [(mean("moderation_batch_size"), "frames")],
            ),
            Panel(
                "Time for a batch",
                "Rises at the same size of batch where the machine is crowded.",
                quantiles("moderation_batch_duration_seconds"),
                "s",
            ),
            Panel(
                "Embeddings wanted",
                "A hit or a shared one costs no encoding.",
                [rate_by("result", "moderation_embedding_lookups_total")],
                "reqps",
                "stack",
            ),
            Panel(
                "Servers by device",
                "And by encoder.",
                [
                    (
                        f"count by (name, device) (moderation_encoder_info{{{JOB}}})",
                        "{{name}}, {{device}}",
                    )
                ],
            ),
            Panel(
                "Time for a reload",
                "From reading the policy files to their being in force; the mean of the last hour.",
                [
                    (
                        mean("moderation_policy_reload_duration_seconds", "instance", over="1h"),
                        "{{instance}}",
                    )
                ],
                "s",
            ),
        ],
        "GPU": [
            Panel(
                "GPU utilization",
                "The share of time that something ran on it; empty without a GPU.",
                [(f"moderation_gpu_utilization_ratio{{{JOB}}}", "{{instance}}, {{gpu}}")],
                "percentunit",
                span=12,
            ),
            Panel(
                "GPU memory",
                "In use by whatever process, of what there is; empty without a GPU.",
                [
                    (
                        f"moderation_gpu_memory_used_bytes{{{JOB}}}"
                        f" / moderation_gpu_memory_bytes{{{JOB}}}",
                        "{{instance}}, {{gpu}}",
                    )
                ],
                "percentunit",
                span=12,
            ),
        ],
        "Process": [
            Panel(
                "CPU",
                "Cores in use.",
                [rate_by("instance", "process_cpu_seconds_total")],
            ),
            Panel(
                "Memory",
                "Resident.",
                [(f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}")],
                "bytes",
            ),
            Panel(
                "Open files",
                "Sockets included.",
                [(f"process_open_fds{{{JOB}}}", "{{instance}}")],
            ),
        ],
    },
)

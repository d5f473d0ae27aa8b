"""Whether it answers, in time, and what."""

from boards.panels import JOB, MODERATE, RATE, Board, Panel, quantiles, rate_by

SERVICE = Board(
    "Moderation: service",
    "Is it answering, in time, and what?",
    {
        "Now": [
            Panel(
                "Ready servers",
                "Servers with a warm encoder and valid policies.",
                [(f"sum(moderation_ready{{{JOB}}})", "")],
                kind="number",
                span=4,
            ),
            Panel(
                "Decisions",
                "Contents judged a second.",
                [(f"sum(rate(moderation_decisions_total{{{JOB}}}[{RATE}]))", "")],
                "reqps",
                "number",
                4,
            ),
            Panel(
                "Answered",
                "Judging RPCs answered in the last hour; the objective is 99.9 %.",
                [(f"1 - job:moderation_rpc_errors:ratio_rate1h{{{JOB}}}", "")],
                "percentunit",
                "number",
                4,
            ),
            Panel(
                "In time",
                "Moderate calls, not batches and streams, within 0.5 s in the last hour; "
                "the objective is 99 %.",
                [(f"1 - job:moderation_rpc_slow:ratio_rate1h{{{JOB}}}", "")],
                "percentunit",
                "number",
                4,
            ),
            Panel(
                "Turned away",
                "Requests shed because there was no room.",
                [(f"job:moderation_shed:ratio_rate5m{{{JOB}}}", "")],
                "percentunit",
                "number",
                4,
            ),
            Panel(
                "Not judgeable",
                "Contents that could not be judged in the last quarter of an hour.",
                [(f"job:moderation_unjudgeable:ratio_rate15m{{{JOB}}}", "")],
                "percentunit",
                "number",
                4,
            ),
        ],
        "Requests": [
            Panel(
                "RPCs by status",
                "Every RPC, by the gRPC status that it ended with.",
                [rate_by("code", "moderation_rpcs_total")],
                "reqps",
                "stack",
            ),
            Panel(
                "Time to answer Moderate",
                "As the server sees it; batches and streams are not in it.",
                quantiles("moderation_rpc_duration_seconds", MODERATE),
                "s",
            ),
            Panel(
                "Budget burn",
                "Failures over what the objective allows; 1 uses the month's budget in a month.",
                [
                    (f"job:moderation_rpc_errors:ratio_rate1h{{{JOB}}} / 0.001", "answered, 1 h"),
                    (f"job:moderation_rpc_slow:ratio_rate1h{{{JOB}}} / 0.01", "in time, 1 h"),
                    (f"job:moderation_rpc_errors:ratio_rate6h{{{JOB}}} / 0.001", "answered, 6 h"),
                    (f"job:moderation_rpc_slow:ratio_rate6h{{{JOB}}} / 0.01", "in time, 6 h"),
                ],
            ),
            Panel(
                "Decisions by action",
                "What was allowed, sent to review, or blocked.",
                [rate_by("action", "moderation_decisions_total")],
                "reqps",
                "stack",
            ),
            Panel(
                "Not judgeable, by reason",
                "These got the posture of their profile.",
                [rate_by("code", "moderation_unjudgeable_total")],
                "reqps",
                "stack",
            ),
            Panel(
                "Turned away, by reason",
                "in_flight_bytes wants smaller pictures, tenant_* a look at that tenant, "
                "the others more servers.",
                [rate_by("reason", "moderation_shed_total")],
                "reqps",
                "stack",
            ),
        ],
        "Servers": [
            Panel(
                "Ready",
                "1 while a server answers requests.",
                [(f"moderation_ready{{{JOB}}}", "{{instance}}")],
            ),
            Panel(
                "Policy reloads",
                "In the last five minutes, by result.",
                [
                    (
                        f"sum by (result) (increase(moderation_policy_reloads_total{{{JOB}}}[5m]))",
                        "{{result}}",
                    )
                ],
            ),
            Panel(
                "Servers by policy set",
                "More than one line for long: some server missed an edit.",
                [(f"count by (version) (moderation_policy_set_info{{{JOB}}})", "{{version}}")],
            ),
        ],
    },
)

"""What the policies find, and whether that has changed."""

from boards.panels import JOB, ONE, RATE, Board, Panel, quantiles, rate_by

POLICIES = Board(
    "Moderation: policies",
    "What do the policies find, and has that changed?",
    {
        "All policies": [
            Panel(
                "Flag rate",
                "Verdicts above ALLOW over contents judged, in the last hour; shadow or not.",
                [(f"policy:moderation_flagged:ratio1h{{{JOB}}}", "{{policy}}")],
                "percentunit",
                span=12,
            ),
            Panel(
                "Against the trailing week",
                "Standard deviations from the last seven days, once a day of them is known; "
                "beyond 4 or -4 an alert fires.",
                [(f"policy:moderation_flagged:zscore1h{{{JOB}}}", "{{policy}}")],
                span=12,
            ),
            Panel(
                "Drift of scores",
                "Population stability index against the references, where there are any; "
                "above 0.25 for an hour an alert fires.",
                [(f"policy:moderation_policy_score_psi:mean{{{JOB}}}", "{{policy}}")],
                span=12,
            ),
            Panel(
                "Outdated references",
                "1 while a policy is worded otherwise than its reference.",
                [
                    (
                        f"max by (policy) (moderation_policy_reference_outdated{{{JOB}}})",
                        "{{policy}}",
                    )
                ],
                span=12,
            ),
            Panel(
                "Most verdicts",
                "The ten policies that flagged most in the time shown.",
                [
                    (
                        "topk(10, sum by (policy) "
                        f"(increase(moderation_verdicts_total{{{JOB}}}[$__range])))",
                        "{{policy}}",
                    )
                ],
                kind="bars",
                span=12,
            ),
            Panel(
                "Verdicts in force and in shadow",
                "Shadow verdicts act on nothing.",
                [rate_by("mode", "moderation_verdicts_total")],
                "reqps",
                "stack",
                12,
            ),
            Panel(
                "For people to look at",
                "Contents sent to review an hour, by profile.",
                [
                    (
                        "3600 * sum by (profile) "
                        f'(rate(moderation_decisions_total{{{JOB}, action="review"}}[{RATE}]))',
                        "{{profile}}",
                    )
                ],
                span=12,
            ),
            Panel(
                "Review budget used",
                "The share of contents that went to review in the last day, over what a profile "
                "states people have time for; above 100 % for an hour an alert fires.",
                [
                    (
                        f"profile:moderation_reviewed:ratio_rate1d{{{JOB}}} / on (job, profile) "
                        f"max by (job, profile) (moderation_review_budget{{{JOB}}})",
                        "{{profile}}",
                    )
                ],
                "percentunit",
                span=12,
            ),
        ],
        "One policy: $policy": [
            Panel(
                "Scores and thresholds",
                "Where its scores lie, and from where on it acts in the default profile.",
                [
                    *quantiles("moderation_policy_score", ONE),
                    (f"max by (action) (moderation_policy_threshold{{{ONE}}})", "{{action}} from"),
                ],
            ),
            Panel(
                "Distribution of scores",
                "How many contents got which score.",
                [
                    (
                        f"sum by (le) (increase(moderation_policy_score_bucket{{{ONE}}}[{RATE}]))",
                        "{{le}}",
                    )
                ],
                kind="heatmap",
            ),
            Panel(
                "Verdicts",
                "By action and mode.",
                [
                    (
                        f"sum by (action, mode) (rate(moderation_verdicts_total{{{ONE}}}[{RATE}]))",
                        "{{action}}, {{mode}}",
                    )
                ],
                "reqps",
                "stack",
            ),
        ],
        "The set": [
            Panel(
                "Policies in force",
                "By server.",
                [(f"moderation_policies{{{JOB}}}", "{{instance}}")],
            ),
            Panel(
                "Age of the policy set",
                "Falls to zero at every edit that took effect.",
                [(f"moderation_policy_set_age_seconds{{{JOB}}}", "{{instance}}")],
                "s",
            ),
            Panel(
                "Files that cannot be used",
                "1 while the last good set is served instead.",
                [(f"moderation_policy_reload_failed{{{JOB}}}", "{{instance}}")],
            ),
        ],
    },
    picks_policy=True,
)

"""A screen of what happened in an interval: what is asked first, in a few short tables."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moderation.cli.observing.interval import Interval
from moderation.cli.observing.scrape import Scrape
from moderation.cli.output import printable

MODERATE = "/moderation.v1.ModerationService/Moderate"
SHOWN_DIGITS = 12
NONE = "-"
MEGA = 1e6
LAST_GOOD_BY_METRIC = {
    "moderation_tls_reload_failed": "certificates",
    "moderation_keys_reload_failed": "the file of keys",
    "moderation_jwks_reload_failed": "the issuer's keys",
}


def screen(interval: Interval, url: str, *, most_policies: int) -> Group:
    """The whole screen; labels come from the server, and are made safe for a terminal."""
    return Group(
        Text(printable(_heading(interval, url)), style="bold"),
        _rows(chain(_load(interval), _state(interval))),
        _policies(interval, most_policies),
    )


def _heading(interval: Interval, url: str) -> str:
    last = interval.last
    build, encoder = last.facts("moderation_build_info"), last.facts("moderation_encoder_info")
    runs = f"{encoder.get('name', NONE)} on {encoder.get('device', NONE)}"
    ready = "ready" if last.only("moderation_ready") else "NOT READY"
    since = "since its start" if interval.first is None else f"in {interval.seconds:.1f} s"
    version = build.get("version", NONE)
    return f"{url}  moderation {version}  {ready}  {runs}  up {_span(last.age_s)}  ({since})"


def _load(interval: Interval) -> Iterator[tuple[str, str]]:
    times = [
        interval.quantile(share, "moderation_rpc_duration_seconds", method=MODERATE)
        for share in (0.5, 0.99)
    ]
    yield (
        "calls",
        f"{interval.rate('moderation_rpcs_total'):.1f}/s, Moderate p50 {_ms(times[0])}, "
        f"p99 {_ms(times[1])}",
    )
    yield "decisions", _listed(interval.rates("moderation_decisions_total", "action"))
    yield "failing calls", _listed(_failing(interval))
    yield "turned away", _listed(interval.rates("moderation_shed_total", "reason"))
    yield "unjudgeable", _listed(interval.rates("moderation_unjudgeable_total", "code"))


def _failing(interval: Interval) -> dict[str, float]:
    rates = interval.rates("moderation_rpcs_total", "code")
    return {code: rate for code, rate in rates.items() if code != "OK"}


def _state(interval: Interval) -> Iterator[tuple[str, str]]:
    last = interval.last
    yield (
        "under way",
        f"{_count(last.only('moderation_in_flight'))} of "
        f"{_count(last.only('moderation_admission_limit'))} let in, "
        f"{_count(last.only('moderation_queue_depth'))} frames wait, "
        f"batches of {_one(interval.mean('moderation_batch_size'))}",
    )
    looked_up = interval.rates("moderation_embedding_lookups_total", "result")
    total = sum(looked_up.values())
    hits = f"{looked_up.get('hit', 0.0) / total:.0%} hits" if total else "not asked"
    cached = _megabytes(last.only("moderation_embedding_cache_bytes"))
    yield "cache", f"{hits}, {cached}"
    cpu = interval.rate("process_cpu_seconds_total")
    yield (
        "process",
        f"{_megabytes(last.only('process_resident_memory_bytes'))} without its decoders, "
        f"{cpu:.0%} of a core",
    )
    restarts = last.by("moderation_decoder_restarts_total", "reason")
    yield "decoders replaced", _listed(restarts, "")
    if (workers := last.only("moderation_workers")) is not None:
        wanted = last.only("moderation_workers_wanted")
        replaced = _count(last.only("moderation_worker_restarts_total"))
        yield "workers", f"{_count(workers)} of {_count(wanted)}, {replaced} replaced"
    yield "policy set", _policy_set(interval)
    yield from _wrong(last)


def _wrong(last: Scrape) -> Iterator[tuple[str, str]]:
    """What nobody asks for while it is well; the log has the reason."""
    unusable = [name for metric, name in LAST_GOOD_BY_METRIC.items() if last.only(metric)]
    if unusable:
        yield "CANNOT BE USED", f"{', '.join(unusable)}; the last good ones count"
    lost = last.only("moderation_decision_log_lost_total")
    if last.only("moderation_decision_log_failing"):
        yield "decision log", f"FAILS, {_count(lost)} answers without a record"
    elif lost:
        yield "decision log", f"{_count(lost)} answers without a record"


def _policy_set(interval: Interval) -> str:
    last = interval.last
    version = last.facts("moderation_policy_set_info").get("version", "")[:SHOWN_DIGITS]
    age = _span(last.only("moderation_policy_set_age_seconds") or 0.0)
    told = f"{version or 'none'}, {_count(last.only('moderation_policies'))} policies, {age} old"
    if last.only("moderation_policy_reload_failed"):
        told += ", THE FILES CANNOT BE USED"
    elif last.only("moderation_policy_set_stale"):
        told += ", STALE"
    return told


def _policies(interval: Interval, most: int) -> Table:
    """Those that flag most; verdicts of policies in shadow too."""
    judged = interval.rates("moderation_policy_score_count", "policy")
    by_action = {
        action: interval.rates("moderation_verdicts_total", "policy", action=action)
        for action in ("review", "block")
    }
    shadow = interval.rates("moderation_verdicts_total", "policy", mode="shadow")
    psi = interval.last.by("moderation_policy_score_psi", "policy")
    flagged = {one: sum(rates.get(one, 0.0) for rates in by_action.values()) for one in judged}
    table = Table(
        "policy", "review/s", "block/s", "of these shadow/s", "flagged", "drift", box=None
    )
    for one in sorted(judged, key=lambda name: (-flagged[name], name))[:most]:
        share = f"{flagged[one] / judged[one]:.1%}" if judged[one] else NONE
        rates = (by_action["review"], by_action["block"], shadow)
        cells = [f"{rate.get(one, 0.0):.2f}" for rate in rates]
        drift = f"{psi[one]:.2f}" if one in psi else NONE
        table.add_row(printable(one), *cells, share, drift)
    if (hidden := len(judged) - most) > 0:
        table.caption = f"and {hidden} policies that flag less"
    return table


def _rows(rows: Iterable[tuple[str, str]]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(name, printable(value))
    return table


def _listed(values: Mapping[str, float], unit: str = "/s") -> str:
    """What is not 0, the most first."""
    there = sorted(((name, one) for name, one in values.items() if one), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {one:.3g}{unit}" for name, one in there) or "none"


def _ms(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds * 1000:.0f} ms"


def _one(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:.0f}"


def _megabytes(value: float | None) -> str:
    return NONE if value is None else f"{value / MEGA:.0f} MB"


def _span(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"

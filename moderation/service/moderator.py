"""Judges one content: the main job."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime

from moderation.core.content import Content, Embeddings, NamedContent
from moderation.core.decision import Decision, Failure, Options, Timings, decide, select
from moderation.core.errors import DeadlineExceeded, Overloaded, UnjudgeableContent
from moderation.core.record import Judgement
from moderation.core.scoring import CompiledPolicies, ProfileCuts, Scores, score
from moderation.service.admission import Admission, Limits, no_memory_limit
from moderation.service.decision_log import RECORDS_NOTHING
from moderation.service.encoding import ContentEncoder, EncodedContent
from moderation.service.fetching import NO_FETCHING, fetched
from moderation.service.lanes import Priority, Urgency
from moderation.service.policy_store import PolicyStore
from moderation.service.ports import DecisionLog, ImageFetcher, Telemetry
from moderation.service.recent import keep_nothing
from moderation.service.request_context import current_request
from moderation.service.shadowing import Shadow
from moderation.service.tenants import Excess, Tenants
from moderation.service.tracing import NO_TRACER, Stage, Tracer


class Moderator:
    """Decides on content by the active policies."""

    def __init__(  # noqa: PLR0913 - a use case names everything that it needs
        self,
        *,
        policies: PolicyStore,
        encoder: ContentEncoder,
        telemetry: Telemetry,
        limits: Limits,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        keep: Callable[[str, Embeddings], None] = keep_nothing,
        memory_share: Callable[[], float] = no_memory_limit,
        decision_log: DecisionLog = RECORDS_NOTHING,
        tracer: Tracer = NO_TRACER,
        images: ImageFetcher = NO_FETCHING,
    ) -> None:
        self._policies = policies
        self._encoder = encoder
        self._telemetry = telemetry
        self._max_request_s = limits.max_request_s
        self._admission = Admission(limits, telemetry, memory_share)
        self._clock = clock
        self._new_id = new_id
        self._shadow: Shadow | None = None
        self._keep = keep
        self._decision_log = decision_log
        self._tracer = tracer
        self._images = images

    @property
    def in_flight(self) -> int:
        """Requests that were let in and are not answered yet."""
        return self._admission.in_flight

    @property
    def in_flight_bytes(self) -> int:
        """Of the images of those requests, those to be fetched included."""
        return self._admission.n_bytes

    @property
    def fetches_in_flight(self) -> int:
        """Images that are being fetched."""
        return self._admission.fetching

    async def moderate(
        self,
        content: Content | NamedContent,
        options: Options,
        *,
        within_s: float | None = None,
        priority: Priority = Priority.INTERACTIVE,
        tenant: str = "",
    ) -> Decision:
        """Judge one content, within so many seconds if the caller set a deadline.

        An image that the request names is fetched first, once there is room for it.
        Content that cannot be judged is answered with the profile's posture, never
        with an ALLOW by accident. The answer is in the decision log before it is given, with
        the tenant whose request it was. Raises InvalidRequest, Overloaded, DeadlineExceeded or
        NotReady.
        """
        compiled = self._policies.current  # once: a reload must not split a request
        cuts = compiled.cuts[compiled.policy_set.profile(options.profile).id]
        select(compiled, cuts, options)  # a wrong request must not cost an encoding
        allowed_s = self._max_request_s if within_s is None else min(within_s, self._max_request_s)
        if allowed_s <= 0:
            raise DeadlineExceeded("the deadline had passed when the request arrived")
        urgency = Urgency(priority, asyncio.get_running_loop().time() + allowed_s)
        with ExitStack() as place:
            content = await self._let_in(content, urgency, tenant, place)
            async with self._no_longer_than(urgency, allowed_s):
                judgement = await self._judge(content, options, compiled, cuts, urgency)
                with self._tracer.stage(Stage.RECORD):
                    await self._decision_log.append(_attributed(judgement, tenant))
        self._telemetry.decided(judgement.decision)
        self._tracer.decided(judgement.decision)
        return judgement.decision

    def excess(self, priority: Priority, tenant: str = "") -> Excess | None:
        """What turns any request of this priority away now, before it is read; None if nothing."""
        return self._admission.excess(priority, tenant)

    def excess_of_bytes(self, tenant: str = "") -> Excess | None:
        """What turns any image away now for its bytes, before it is read; None if nothing."""
        return self._admission.excess_of_bytes(tenant)

    def turn_away(self, excess: Excess, priority: Priority, tenant: str = "") -> Overloaded:
        """Tell operators of a request that is not read because of that; what to tell its caller."""
        return self._admission.turn_away(excess, priority, tenant)

    def share_among(self, tenants: Tenants) -> None:
        """Keep each tenant to its part from now on."""
        self._admission.share_among(tenants)

    def show_to(self, shadow: Shadow) -> None:
        """Let it see, from now on, whatever is scored."""
        self._shadow = shadow

    def require(self, options: Options) -> None:
        """Raise InvalidRequest if no content could be judged by these options; or NotReady."""
        compiled = self._policies.current
        select(compiled, compiled.cuts[compiled.policy_set.profile(options.profile).id], options)

    async def _let_in(
        self, content: Content | NamedContent, urgency: Urgency, tenant: str, place: ExitStack
    ) -> Content:
        """The content with its bytes, and with a place; raises what keeps it out."""
        priority, admission = urgency.priority, self._admission
        if isinstance(content, Content):
            with self._tracer.stage(Stage.ADMISSION):
                place.enter_context(admission.admitted(len(content.image), priority, tenant))
            return content
        max_bytes = self._images.max_bytes
        reservation = place.enter_context(admission.reserved(max_bytes, priority, tenant))
        within_s = urgency.deadline - asyncio.get_running_loop().time()
        whole = await fetched(
            content, self._images, reservation, within_s=within_s, tracer=self._tracer
        )
        with self._tracer.stage(Stage.ADMISSION):
            place.enter_context(admission.placed(priority))
        return whole

    @asynccontextmanager
    async def _no_longer_than(self, urgency: Urgency, allowed_s: float) -> AsyncIterator[None]:
        """End what is within at the deadline; whoever must wait from now on has what is left."""
        started = asyncio.get_running_loop().time()
        left_s = urgency.deadline - started
        try:
            async with asyncio.timeout_at(urgency.deadline):
                yield
        except asyncio.CancelledError:
            waited_s = asyncio.get_running_loop().time() - started
            self._admission.abandoned(waited_s, urgency.priority, left_s)
            raise
        except (TimeoutError, DeadlineExceeded) as error:
            self._admission.expired(urgency.priority)
            raise DeadlineExceeded(f"no answer within {allowed_s:.3f} s") from error

    async def _judge(
        self,
        content: Content,
        options: Options,
        compiled: CompiledPolicies,
        cuts: ProfileCuts,
        urgency: Urgency,
    ) -> Judgement:
        started = asyncio.get_running_loop().time()
        blank = Decision(
            decision_id=self._new_id(),
            content_id=content.content_id,
            action=cuts.profile.on_unjudgeable,
            profile=cuts.profile.id,
            policy_set_version=compiled.policy_set.version,
            encoder_id=compiled.encoder_id,
            decided_at=self._clock(),
        )
        digest = await self._encoder.digest(content.image)
        try:
            encoded = await self._encoder.encode(content.image, urgency, digest=digest)
        except UnjudgeableContent as error:
            total_s = asyncio.get_running_loop().time() - started
            failure = Failure(error.code, error.message)
            unjudged = replace(blank, failure=failure, timings=Timings(total_s=total_s))
            return Judgement(unjudged, options, digest)
        self._keep(content.content_id, encoded.embeddings)
        if not encoded.cached:
            left_s = urgency.deadline - started
            self._admission.waited(encoded.queue_s, urgency.priority, left_s)
        scoring = asyncio.get_running_loop().time()
        with self._tracer.stage(Stage.SCORE):
            scores = score(encoded.embeddings, compiled)
            decided = _decided(blank, scores, options, compiled, cuts)
        if self._shadow is not None:
            self._shadow.offer(content, scores, compiled)
        timed = _timed(decided, encoded, started, scoring)
        return Judgement(timed, options, digest, encoded.embeddings)


def _attributed(judgement: Judgement, tenant: str) -> Judgement:
    """With whose request it was, and by which names it is found again."""
    request = current_request()
    return replace(
        judgement, tenant=tenant, request_id=request.request_id, trace_id=request.trace_id
    )


def _decided(
    blank: Decision,
    scores: Scores,
    options: Options,
    compiled: CompiledPolicies,
    cuts: ProfileCuts,
) -> Decision:
    outcome = decide(scores, compiled, cuts, options, content_id=blank.content_id)
    return replace(
        blank,
        action=outcome.action,
        verdicts=outcome.verdicts,
        deciding_policy_id=outcome.deciding.policy.id if outcome.deciding else "",
        audited=outcome.audited,
        scores=outcome.scores,
    )


def _timed(decision: Decision, encoded: EncodedContent, started: float, scoring: float) -> Decision:
    ended = asyncio.get_running_loop().time()
    return replace(
        decision,
        frames_judged=len(encoded.embeddings),
        timings=Timings(
            decode_s=encoded.decode_s,
            queue_s=encoded.queue_s,
            encode_s=encoded.encode_s,
            score_s=ended - scoring,
            total_s=ended - started,
            cached=encoded.cached,
        ),
    )

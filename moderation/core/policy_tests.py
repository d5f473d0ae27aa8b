"""What an editor expects of policies on given contents, and whether it holds.

A canary counts as acting, and nobody is drawn for an audit: a test is about the
policy, not about the share of contents on which it acts yet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.decision import actions_of
from moderation.core.errors import UnknownName
from moderation.core.policy import Action
from moderation.core.policy_plan import LinedUp, Side
from moderation.core.rescoring import rescore
from moderation.core.scoring import CompiledPolicies


class SubjectKind(StrEnum):
    """What a test looks at."""

    PICTURE = "picture"
    TEXT = "text"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture by its path, a text by itself, or a stored embedding by its content id."""

    kind: SubjectKind
    name: str


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """Bounds within which a score has to lie, both included."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a range that no score lies in."""
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ValueError(f"no score lies between {self.low} and {self.high}")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to hold; what is left empty is not looked at."""

    actions: frozenset[Action] = frozenset()
    policy_id: str = ""
    """The policy that decides, whenever the action is not ALLOW."""
    flagged_by: tuple[str, ...] = ()
    not_flagged_by: tuple[str, ...] = ()
    scores: Mapping[str, ScoreRange] = field(default_factory=lambda: MappingProxyType({}))
    needs_clip: bool = False
    """Not to be expected of the bundled starter encoder."""

    @property
    def policy_ids(self) -> frozenset[str]:
        """Every policy that it names."""
        named = {*self.flagged_by, *self.not_flagged_by, *self.scores, self.policy_id}
        return frozenset(named - {""})


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One expectation, and where it is written."""

    file: str
    line: int
    column: int
    subject: Subject
    expectation: Expectation
    profile: str = ""


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What came of a test; it failed if there is something to complain of."""

    __test__ = False  # pytest would take it for a class of tests

    test: PolicyTest
    complaints: tuple[str, ...] = ()
    is_skipped: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether something that is expected does not hold."""
        return bool(self.complaints)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one profile says of all contents, by position in `lined`."""

    policy_ids: tuple[str, ...]
    scores: NDArray[np.float64]
    actions: NDArray[np.int_]
    decision: NDArray[np.int_]
    deciding: NDArray[np.intp]

    def column(self, policy_id: str) -> int:
        """Where a policy stands; -1 if it does not judge."""
        return self.policy_ids.index(policy_id) if policy_id in self.policy_ids else -1


def run_tests(
    tests: Sequence[PolicyTest],
    found: Mapping[Subject, Embeddings | str],
    compiled: CompiledPolicies,
    *,
    is_starter: bool = False,
) -> tuple[TestOutcome, ...]:
    """Try every test on its subject's embeddings; a reason in their place is a complaint.

    With the starter encoder, tests that need CLIP are skipped.
    """
    subjects = {test.subject: found[test.subject] for test in tests}
    seen = [(one, frames) for one, frames in subjects.items() if not isinstance(frames, str)]
    judgeable: dict[Subject, int | str] = {
        subject: reason for subject, reason in subjects.items() if isinstance(reason, str)
    }
    judgeable |= {subject: row for row, (subject, _) in enumerate(seen)}
    judged: dict[str, _Judged] = {}
    if seen:
        dim = seen[0][1].shape[1]
        corpus = Corpus.from_contents([(one.name, frames) for one, frames in seen], dim=dim)
        scores = rescore(corpus, compiled)
        for profile in {test.profile for test in tests} & {"", *compiled.policy_set.profiles}:
            judged[profile] = _judge(Side.of(compiled, profile), scores)
    return tuple(
        TestOutcome(test, is_skipped=True)
        if is_starter and test.expectation.needs_clip
        else TestOutcome(test, tuple(_complaints(test, judgeable[test.subject], judged, compiled)))
        for test in tests
    )


def failed(outcomes: Iterable[TestOutcome]) -> tuple[TestOutcome, ...]:
    """Those with something to complain of."""
    return tuple(outcome for outcome in outcomes if outcome.has_failed)


def _judge(side: Side, scores: NDArray[np.float64]) -> _Judged:
    ids = tuple(sorted(side.judging))
    lined = LinedUp.of(side, ids)
    mine = scores[:, lined.at]
    actions = actions_of(mine, lined.review, lined.block)
    acting = np.where(lined.acts > 0.0, actions, int(Action.ALLOW))
    decision = np.asarray(acting.max(axis=1, initial=int(Action.ALLOW)))
    margin = mine - np.where(mine >= lined.block, lined.block, lined.review)
    is_strictest = (acting == decision[:, None]) & (lined.acts > 0.0)
    margin = np.where(is_strictest, margin, -np.inf)
    deciding = margin.argmax(axis=1) if ids else np.zeros(len(scores), dtype=np.intp)
    return _Judged(ids, mine, actions, decision, deciding)


def _complaints(
    test: PolicyTest,
    row: int | str,
    judged: Mapping[str, _Judged],
    compiled: CompiledPolicies,
) -> Iterator[str]:
    if isinstance(row, str):
        yield row
        return
    try:
        compiled.policy_set.profile(test.profile)
        compiled.policy_set.require_policies(test.expectation.policy_ids)
    except UnknownName as error:
        yield error.problem
        return
    found = judged[test.profile]
    yield from _decision_complaints(test.expectation, found, row)
    yield from _verdict_complaints(test.expectation, found, row)


def _decision_complaints(wanted: Expectation, found: _Judged, row: int) -> Iterator[str]:
    action = Action(int(found.decision[row]))
    is_flagged = action is not Action.ALLOW
    deciding = found.policy_ids[int(found.deciding[row])] if is_flagged else ""
    if wanted.actions and action not in wanted.actions:
        expected = " or ".join(one.name.lower() for one in sorted(wanted.actions))
        because = f" by {deciding} ({_score(found, row, deciding)})" if deciding else ""
        yield f"expected {expected}, got {action.name.lower()}{because}"
    elif wanted.policy_id and is_flagged and deciding != wanted.policy_id:
        yield f"expected {wanted.policy_id} to decide, and {deciding} did"


def _verdict_complaints(wanted: Expectation, found: _Judged, row: int) -> Iterator[str]:
    for policy_ids, is_wanted in ((wanted.flagged_by, True), (wanted.not_flagged_by, False)):
        for policy_id in policy_ids:
            column = found.column(policy_id)
            is_flagged = column >= 0 and bool(found.actions[row, column] > Action.ALLOW)
            if is_flagged != is_wanted:
                how = "did not flag it" if is_wanted else "flagged it"
                yield f"{policy_id} {how} ({_score(found, row, policy_id)})"
    for policy_id, bounds in wanted.scores.items():
        column = found.column(policy_id)
        score = float(found.scores[row, column]) if column >= 0 else np.nan
        if not bounds.low <= score <= bounds.high:
            allowed = f"{bounds.low:g} to {bounds.high:g}"
            yield f"{policy_id} should score {allowed} ({_score(found, row, policy_id)})"


def _score(found: _Judged, row: int, policy_id: str) -> str:
    column = found.column(policy_id)
    return f"score {found.scores[row, column]:.3f}" if column >= 0 else "it does not judge here"

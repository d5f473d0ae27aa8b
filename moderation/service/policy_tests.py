"""Runs policy tests: finds the embeddings of what they look at, and tries the policies on them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.errors import PolicySetRejected, Problem, UnjudgeableContent
from moderation.core.policy_tests import (
    PolicyTest,
    Subject,
    SubjectKind,
    TestOutcome,
    failed,
    run_tests,
)
from moderation.core.scoring import CompiledPolicies
from moderation.service.ports import TextEncoder

See = Callable[[bytes], Embeddings]
"""An image's bytes to its frames' embeddings; raises UnjudgeableContent, or what the encoder
raises."""
Read = Callable[[str], bytes]
"""The bytes of a picture by its path; raises OSError."""


@dataclass(slots=True)
class SubjectEmbeddings:
    """Embeddings of pictures, texts and stored contents; what was seen once is not seen again.

    A stored embedding serves for a picture as long as the picture's bytes are those that
    it was made of, or if the picture itself is not there.
    """

    see: See
    texts: TextEncoder
    read: Read
    stored: Mapping[str, Embeddings]
    """By the names that `name_of` gives."""
    found: dict[str, Embeddings] = field(default_factory=dict)
    """What was used, by name: what there is to store."""

    def of(self, subjects: Iterable[Subject]) -> dict[Subject, Embeddings]:
        """The embeddings of those that have any."""
        by_subject = {}
        for subject in subjects:
            embeddings = self._of(subject)
            if embeddings is not None:
                by_subject[subject] = embeddings
        return by_subject

    def _of(self, subject: Subject) -> Embeddings | None:
        if subject.kind is SubjectKind.PICTURE:
            return self._of_picture(subject)
        if subject.kind is SubjectKind.TEXT:
            return self._kept(name_of(subject), lambda: self.texts.encode_texts([subject.name]))
        return self._kept(name_of(subject), lambda: None)

    def _of_picture(self, subject: Subject) -> Embeddings | None:
        try:
            image = self.read(subject.name)
        except OSError:
            prefix = name_of(subject)
            names = [name for name in self.stored if name.startswith(prefix)]
            return self._kept(names[0], lambda: None) if names else None
        return self._kept(name_of(subject, image), lambda: self._seen(image))

    def _seen(self, image: bytes) -> Embeddings | None:
        try:
            return self.see(image)
        except UnjudgeableContent:
            return None

    def _kept(self, name: str, make: Callable[[], Embeddings | None]) -> Embeddings | None:
        known = self.found.get(name)
        if known is None:
            known = self.stored.get(name)
        if known is None:
            known = make()
        if known is not None:
            self.found[name] = known
        return known


@dataclass(frozen=True, slots=True)
class ActivationTests:
    """Refuses a policy set that fails a test; `load` reads the tests anew each time."""

    load: Callable[[], Sequence[PolicyTest]]
    embeddings: SubjectEmbeddings
    is_starter: bool = False

    def __call__(self, compiled: CompiledPolicies) -> None:
        """Raise PolicySetRejected with every test that fails, or if there is none at all."""
        tests = self.load()
        if not tests:
            problem = Problem("tests", 0, 0, "there is no policy test, and one is required")
            raise PolicySetRejected((problem,))
        seen = self.embeddings.of({test.subject for test in tests})
        failures = failed(run_tests(tests, seen, compiled, is_starter=self.is_starter))
        if failures:
            raise PolicySetRejected(tuple(map(_problem, failures)))


def _problem(failure: TestOutcome) -> Problem:
    test = failure.test
    complaints = "; ".join(failure.complaints)
    message = f"the test of {shown_subject(test.subject)} fails: {complaints}"
    return Problem(test.file, test.line, test.column, message)


def accept(compiled: CompiledPolicies) -> None:
    """What a service asks of a policy set unless it was told to run the tests."""


def name_of(subject: Subject, image: bytes | None = None) -> str:
    """Under which name the embeddings of a subject are stored; a picture's has its digest too."""
    if subject.kind is not SubjectKind.PICTURE:
        return f"{subject.kind}:{subject.name}"
    digest = "" if image is None else hashlib.sha256(image).hexdigest()[:32]
    return f"{subject.kind}:{Path(subject.name).name}:{digest}"


def shown_subject(subject: Subject) -> str:
    """How a subject is told: a picture by its name without the folders."""
    is_picture = subject.kind is SubjectKind.PICTURE
    return repr((Path(subject.name).name if is_picture else subject.name)[:60])


def as_mapping(corpus: Corpus) -> dict[str, Embeddings]:
    """A stored corpus by name."""
    return {name: corpus.frames_of(row) for row, name in enumerate(corpus.content_ids)}

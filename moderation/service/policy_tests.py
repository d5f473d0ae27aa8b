"""Runs policy tests: finds the embeddings of what they look at, and tries the policies on them."""

import hashlib
import os
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
from moderation.service.phrases import PhraseEmbeddings
from moderation.service.ports import TextEncoder

See = Callable[[bytes], Embeddings]
"""An image's bytes to its frames' embeddings; raises UnjudgeableContent, or what the encoder
raises."""
Read = Callable[[str], bytes]
"""The bytes of a picture by its path; raises OSError."""


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """What is stored beside the tests of a folder, by the names that `name_of` gives."""

    folder: Path
    by_name: Mapping[str, Embeddings]
    flaw: str = ""
    """Why nothing that is there can be used."""

    def name_of(self, subject: Subject, image: bytes | None = None) -> str:
        """A picture's has its path as seen from the folder, and the digest of its bytes.

        Two pictures may have the same name in different folders, and tests go to another machine
        together with their folder.
        """
        if subject.kind is not SubjectKind.PICTURE:
            return f"{subject.kind}:{subject.name}"
        path = Path(os.path.relpath(subject.name, self.folder)).as_posix()
        digest = "" if image is None else hashlib.sha256(image).hexdigest()[:32]
        return f"{subject.kind}:{path}:{digest}"

    def names_of_picture(self, subject: Subject) -> list[str]:
        """The names under which a picture is stored, whatever its bytes were."""
        wanted = self.name_of(subject)
        return [name for name in self.by_name if _without_digest(name) == wanted]

    def updated(
        self, found: Mapping[str, Embeddings], named: Iterable[Subject] | None
    ) -> dict[str, Embeddings]:
        """What to store: what was found, and of the rest what these subjects need.

        All of the rest if it is not known which subjects the tests name.
        """
        new = {_without_digest(name) for name in found}
        kept = {
            name: frames
            for name, frames in self.by_name.items()
            if _without_digest(name) not in new
        }
        if named is not None:
            wanted = {self.name_of(subject) for subject in named}
            kept = {
                name: frames for name, frames in kept.items() if _without_digest(name) in wanted
            }
        return {**kept, **found}


def _without_digest(name: str) -> str:
    is_picture = name.startswith(f"{SubjectKind.PICTURE}:")
    return f"{name.rpartition(':')[0]}:" if is_picture else name


@dataclass(slots=True)
class SubjectEmbeddings:
    """Embeddings of pictures, texts and stored contents; what was seen once is not seen again.

    A stored embedding serves for a picture as long as the picture's bytes are those that
    it was made of, or if the picture itself is not there.
    """

    see: See
    texts: TextEncoder
    read: Read
    stored: StoredEmbeddings
    found: dict[str, Embeddings] = field(default_factory=dict)
    """What was used, by name: what there is to store."""

    def of(self, subjects: Iterable[Subject]) -> dict[Subject, Embeddings | str]:
        """The embeddings of each, float32[frames, dim], or why there are none."""
        wanted = list(subjects)
        self._encode([one for one in wanted if one.kind is SubjectKind.TEXT])
        return {subject: self._of(subject) for subject in wanted}

    def _encode(self, subjects: Iterable[Subject]) -> None:
        """Texts by the batch, which takes a fraction of the time."""
        missing = [one for one in subjects if self._known(self.stored.name_of(one)) is None]
        phrases = PhraseEmbeddings(self.texts)
        phrases.embed(frozenset(one.name for one in missing), active=frozenset())
        for one in missing:
            self.found[self.stored.name_of(one)] = phrases.by_text[one.name][None]

    def _of(self, subject: Subject) -> Embeddings | str:
        if subject.kind is SubjectKind.PICTURE:
            return self._of_picture(subject)
        known = self._known(self.stored.name_of(subject))
        return self._absent(f"this {subject.kind} is not there") if known is None else known

    def _of_picture(self, subject: Subject) -> Embeddings | str:
        try:
            image = self.read(subject.name)
        except OSError as error:
            known = next(map(self._known, self.stored.names_of_picture(subject)), None)
            if known is not None:
                return known
            is_there = not isinstance(error, FileNotFoundError)
            why = f"cannot be read: {error.strerror}" if is_there else "is not there"
            return self._absent(f"this picture {why}, nor an embedding of it")
        name = self.stored.name_of(subject, image)
        known = self._known(name)
        if known is None:
            try:
                known = self.found[name] = self.see(image)
            except UnjudgeableContent as error:
                return f"this picture cannot be judged: {error.message}"
        return known

    def _known(self, name: str) -> Embeddings | None:
        known = self.found.get(name)
        if known is None:
            known = self.stored.by_name.get(name)
        if known is not None:
            self.found[name] = known
        return known

    def _absent(self, why: str) -> str:
        return f"{why}; {self.stored.flaw}" if self.stored.flaw else why


@dataclass(frozen=True, slots=True)
class ActivationTests:
    """Refuses a policy set that fails a test; tests and what is stored are read anew each time.

    Both come with the policies: a package brings its own.
    """

    load: Callable[[], Sequence[PolicyTest]]
    stored: Callable[[], StoredEmbeddings]
    embeddings: SubjectEmbeddings
    is_starter: bool = False

    def __call__(self, compiled: CompiledPolicies) -> None:
        """Raise PolicySetRejected with every test that fails, or if there is none at all."""
        tests = self.load()
        if not tests:
            problem = Problem("tests", 0, 0, "there is no policy test, and one is required")
            raise PolicySetRejected((problem,))
        self.embeddings.stored = self.stored()
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


def shown_subject(subject: Subject) -> str:
    """How a subject is told: a picture by its name without the folders."""
    is_picture = subject.kind is SubjectKind.PICTURE
    return repr((Path(subject.name).name if is_picture else subject.name)[:60])


def as_mapping(corpus: Corpus) -> dict[str, Embeddings]:
    """A stored corpus by name."""
    return {name: corpus.frames_of(row) for row, name in enumerate(corpus.content_ids)}

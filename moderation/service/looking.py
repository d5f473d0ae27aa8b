"""Embeddings of what was labelled: images are encoded, other contents were seen before."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from moderation.core.content import Embeddings
from moderation.core.errors import LabelsRejected, Problem, UnjudgeableContent
from moderation.core.labels import Label
from moderation.service.calibrate import Seen, Subject
from moderation.service.encoding import ContentEncoder

ReadImage = Callable[[str], bytes]
"""The bytes of the image at a path; raises OSError."""


async def look_at(
    labels: Sequence[Label],
    *,
    encoder: ContentEncoder,
    read: ReadImage,
    stored: Mapping[str, Embeddings],
    in_flight: int,
    file: str,
) -> Seen:
    """Embeddings of every labelled content; so many images are under way at once.

    Raises LabelsRejected with every content that cannot be used: leaving some out
    silently would change what the labels are a sample of.
    """
    first_by_subject: dict[Subject, Label] = {}
    for label in labels:
        first_by_subject.setdefault(label.subject, label)
    waiting = iter(first_by_subject.values())
    seen: dict[Subject, Embeddings] = {}
    problems: list[Problem] = []

    async def work() -> None:
        for label in waiting:  # shared: each worker takes the next one
            try:
                seen[label.subject] = await _embeddings(label, encoder, read, stored)
            except (OSError, ValueError, UnjudgeableContent) as error:
                problems.append(Problem(file, label.line, 1, _told(label, error)))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(work())
    if problems:
        raise LabelsRejected(_in_order(problems))
    return seen


async def _embeddings(
    label: Label, encoder: ContentEncoder, read: ReadImage, stored: Mapping[str, Embeddings]
) -> Embeddings:
    if not label.is_image:
        found = stored.get(label.content)
        if found is None:
            raise ValueError("no embedding of it is stored; label an image instead")
        return found
    image = await asyncio.to_thread(read, label.content)
    if not image:
        raise ValueError("is empty")
    return (await encoder.encode(image)).embeddings


def _told(label: Label, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{label.content[-100:]!r} cannot be used: {reason}"


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))

"""Fetches by any scheme that is allowed, within a bound of time."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from moderation.core.errors import DeadlineExceeded, InvalidRequest, NotReady
from moderation.core.image_uri import BUCKET_NOT_ALLOWED, FIELD, ImageUri, image_uri_from
from moderation.service.outcomes import FetchOutcome
from moderation.service.ports import Expect

Tell = Callable[[FetchOutcome, float], None]


class Source(Protocol):
    """Where images of one scheme come from."""

    async def fetch(self, place: ImageUri, expect: Expect) -> bytes:
        """The image, or one byte more than is allowed of it.

        Raises InvalidRequest for what only the caller can mend, NotReady for all else.
        """
        ...


class UriFetcher:
    """See ImageFetcher; `sources` by scheme."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        max_bytes: int,
        timeout_s: float,
        tell: Tell,
    ) -> None:
        self._sources = sources
        self.max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._tell = tell

    async def fetch(self, uri: str, within_s: float | None, expect: Expect) -> bytes:
        """See ImageFetcher."""
        started = time.monotonic()
        outcome = FetchOutcome.UNAVAILABLE
        try:
            image = await self._bounded(uri, within_s, expect)
            outcome = FetchOutcome.FETCHED
        except InvalidRequest:
            outcome = FetchOutcome.REFUSED
            raise
        finally:
            self._tell(outcome, time.monotonic() - started)
        return image

    async def _bounded(self, uri: str, within_s: float | None, expect: Expect) -> bytes:
        place = image_uri_from(uri)
        source = self._sources.get(place.scheme)
        if source is None:
            raise InvalidRequest(FIELD, BUCKET_NOT_ALLOWED)
        allowed_s = self._timeout_s if within_s is None else min(within_s, self._timeout_s)
        try:
            async with asyncio.timeout(allowed_s):
                return await source.fetch(place, expect)
        except TimeoutError as error:
            if allowed_s < self._timeout_s:
                raise DeadlineExceeded(f"no image within {allowed_s:.3f} s") from error
            raise NotReady(
                f"{FIELD}: its host did not send the image within {allowed_s:g} s"
            ) from error

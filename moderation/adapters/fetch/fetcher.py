"""Fetches by any scheme that is allowed, within a bound of time."""

import asyncio
import time
from collections.abc import Callable

from moderation.adapters.fetch.files import FileReader
from moderation.adapters.fetch.web import WebFetcher
from moderation.core.errors import DeadlineExceeded, InvalidRequest, NotReady
from moderation.core.image_uri import FIELD, FILE, ImageUri, image_uri_from
from moderation.service.outcomes import FetchOutcome
from moderation.service.ports import Expect

Tell = Callable[[FetchOutcome, float], None]


class UriFetcher:
    """See ImageFetcher."""

    def __init__(
        self,
        web: WebFetcher,
        files: FileReader,
        *,
        max_bytes: int,
        timeout_s: float,
        tell: Tell,
    ) -> None:
        self._web = web
        self._files = files
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
        allowed_s = self._timeout_s if within_s is None else min(within_s, self._timeout_s)
        try:
            async with asyncio.timeout(allowed_s):
                return await self._by_scheme(place, expect)
        except TimeoutError as error:
            if allowed_s < self._timeout_s:
                raise DeadlineExceeded(f"no image within {allowed_s:.3f} s") from error
            raise NotReady(
                f"{FIELD}: its host did not send the image within {allowed_s:g} s"
            ) from error

    async def _by_scheme(self, place: ImageUri, expect: Expect) -> bytes:
        if place.scheme == FILE:
            soon = asyncio.get_running_loop().call_soon_threadsafe
            return await asyncio.to_thread(self._files.read, place, lambda n: soon(expect, n))
        return await self._web.fetch(place, expect)

"""Fetches by any scheme that is allowed, within a bound of time and of fetches at once."""

import asyncio
import time
from collections.abc import Callable

from moderation.adapters.fetch.files import FileReader
from moderation.adapters.fetch.web import WebFetcher
from moderation.core.errors import DeadlineExceeded, InvalidRequest, NotReady, Overloaded
from moderation.core.image_uri import FIELD, FILE, ImageUri, image_uri_from
from moderation.service.outcomes import FetchOutcome

RETRY_AFTER_S = 0.5

Tell = Callable[[FetchOutcome, float], None]


class UriFetcher:
    """See ImageFetcher."""

    def __init__(
        self,
        web: WebFetcher,
        files: FileReader,
        *,
        max_in_flight: int,
        timeout_s: float,
        tell: Tell,
    ) -> None:
        self._web = web
        self._files = files
        self._max_in_flight = max_in_flight
        self._timeout_s = timeout_s
        self._tell = tell
        self._in_flight = 0

    async def fetch(self, uri: str, within_s: float | None) -> bytes:
        """See ImageFetcher."""
        started = time.monotonic()
        outcome = FetchOutcome.UNAVAILABLE
        try:
            image = await self._bounded(uri, within_s)
            outcome = FetchOutcome.FETCHED
        except InvalidRequest:
            outcome = FetchOutcome.REFUSED
            raise
        except Overloaded:
            outcome = FetchOutcome.BUSY
            raise
        finally:
            self._tell(outcome, time.monotonic() - started)
        return image

    async def _bounded(self, uri: str, within_s: float | None) -> bytes:
        place = image_uri_from(uri)
        if self._in_flight >= self._max_in_flight:
            raise Overloaded(
                f"{self._max_in_flight} images are being fetched", retry_after_s=RETRY_AFTER_S
            )
        allowed_s = self._timeout_s if within_s is None else min(within_s, self._timeout_s)
        self._in_flight += 1
        try:
            async with asyncio.timeout(allowed_s):
                return await self._by_scheme(place)
        except TimeoutError as error:
            if allowed_s < self._timeout_s:
                raise DeadlineExceeded(f"no image within {allowed_s:.3f} s") from error
            raise NotReady(
                f"{FIELD}: its host did not send the image within {allowed_s:g} s"
            ) from error
        finally:
            self._in_flight -= 1

    async def _by_scheme(self, place: ImageUri) -> bytes:
        if place.scheme == FILE:
            return await asyncio.to_thread(self._files.read, place)
        return await self._web.fetch(place)

"""Images in object stores, `s3` and `gs`: what signs a request, and what the answers mean.

The bytes come over the same guarded transport as any others, from the endpoint of the store and
from nowhere else: who follows a redirect would show it what was meant for the store.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx

from moderation.adapters.fetch.web import WebFetcher, require_image
from moderation.core.errors import InvalidRequest, NotReady
from moderation.core.image_uri import (
    BUCKET,
    BUCKET_NOT_ALLOWED,
    FIELD,
    HTTPS,
    ImageUri,
    image_uri_from,
    object_path,
)
from moderation.service.ports import Expect

MAX_ERROR_BYTES = 4096
CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
OURS = frozenset(
    {
        b"AuthorizationHeaderMalformed",
        b"ExpiredToken",
        b"InvalidAccessKeyId",
        b"InvalidToken",
        b"PermanentRedirect",
        b"RequestTimeTooSkewed",
        b"SignatureDoesNotMatch",
        b"TokenRefreshRequired",
    }
)
"""What S3 says when not the name is wrong but the service's credentials, region or clock."""


class Signer(Protocol):
    """Shows a store who asks. Called from worker threads, several at a time."""

    def headers(self, place: ImageUri) -> Mapping[str, str]:
        """For a GET of this place; raises NotReady without credentials that could do it."""
        ...


class Anonymous:
    """A Signer for what everybody may read."""

    def headers(self, place: ImageUri) -> Mapping[str, str]:
        """See Signer."""
        return {}


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """Where a bucket's objects are."""

    host: str
    port: int
    folder: str
    """Empty where the host is the bucket's own."""

    def at(self, path: str) -> ImageUri:
        """The object of this percent-encoded key."""
        return ImageUri(HTTPS, self.host, self.port, f"{self.folder}/{path}")


def bucket_place(endpoint: str, bucket: str) -> BucketPlace:
    """Where the bucket is: at a host of its own if the endpoint has `{bucket}`, else in a folder.

    Raises ValueError, with what is wrong.
    """
    named = endpoint.replace("{bucket}", bucket)
    try:
        place = image_uri_from(named)
    except InvalidRequest as error:
        raise ValueError(f"{named}: {error.problem}") from error
    if place.scheme != HTTPS or place.target != "/":
        raise ValueError(f"{named}: must be https:// and a host, with no path")
    if named == endpoint:
        return BucketPlace(place.host, place.port, f"/{bucket}")
    if "." in bucket:
        raise ValueError(f"{named}: no certificate is for a bucket with dots; leave out {{bucket}}")
    return BucketPlace(place.host, place.port, "")


class StoreFetcher:
    """Fetches objects of allowed buckets. No user's key can leave its bucket."""

    def __init__(self, web: WebFetcher, buckets: Mapping[str, BucketPlace], signer: Signer) -> None:
        self._web = web
        self._buckets = buckets
        self._signer = signer

    async def fetch(self, place: ImageUri, expect: Expect) -> bytes:
        """The object, or one byte more than is allowed of it; raises InvalidRequest or NotReady."""
        bucket = self._buckets.get(place.host)
        if bucket is None:
            raise InvalidRequest(FIELD, BUCKET_NOT_ALLOWED)
        there = bucket.at(object_path(place))
        headers = await asyncio.to_thread(self._signer.headers, there)
        return await self._web.fetch_once(there, headers, expect, require=_require_object)


async def _require_object(response: httpx.Response) -> None:
    """As of any host, but that a store does not know the service is not its caller's mistake."""
    if response.status_code in {301, 400, 401, 403}:
        found = CODE.search(await _beginning(response))
        if response.status_code == 401 or (found is not None and found[1] in OURS):
            raise NotReady(f"{FIELD}: its {BUCKET} does not take the service's credentials")
    await require_image(response)


async def _beginning(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= MAX_ERROR_BYTES:
            break
    return bytes(body[:MAX_ERROR_BYTES])

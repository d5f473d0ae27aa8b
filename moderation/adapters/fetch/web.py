"""Fetches over HTTPS, and only from where it was allowed to: no request can reach another place.

Names are resolved once for each hop. All addresses must be allowed ones, and the connection
goes to one of those very addresses, so that a second answer of the name server changes
nothing. Each redirect is a hop of its own. Nothing of the process's environment counts.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

from moderation.core.errors import InvalidRequest, NotReady
from moderation.core.image_uri import (
    FIELD,
    HTTPS,
    AllowedHost,
    ImageUri,
    image_uri_from,
    is_public,
    require_allowed,
)
from moderation.service.ports import Expect

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Require = Callable[[httpx.Response], Awaitable[None]]
"""Raises InvalidRequest or NotReady unless an image comes."""
AGENT = "moderation-service"


@dataclass(frozen=True, slots=True)
class WebRules:
    """Where images may come from, and how large they may be."""

    hosts: tuple[AllowedHost, ...]
    max_bytes: int
    max_redirects: int = 3
    private_networks: bool = False
    """Whether an allowed host may be in a private network."""


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class WebFetcher:
    """Holds no connection longer than its fetch: a kept one was verified for another name."""

    def __init__(
        self, rules: WebRules, *, trusted: ssl.SSLContext, resolve: Resolve = addresses_of
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        # They would write the whole URI, with whatever secret is in it.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(
            verify=trusted,
            trust_env=False,
            follow_redirects=False,
            timeout=None,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        """Ready to fetch."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close whatever is open."""
        await self._client.aclose()

    async def fetch(self, place: ImageUri, expect: Expect) -> bytes:
        """The body, or one byte more than is allowed of it.

        Raises InvalidRequest for what only the caller can mend, NotReady for a host that
        does not answer as it should.
        """
        for _ in range(self._rules.max_redirects + 1):
            require_allowed(place, self._rules.hosts)
            answer = await self._hop(place, {}, expect, require_image)
            if isinstance(answer, bytes):
                return answer
            place = answer
        raise InvalidRequest(FIELD, f"leads on more than {self._rules.max_redirects} times")

    async def fetch_once(
        self, place: ImageUri, headers: Mapping[str, str], expect: Expect, *, require: Require
    ) -> bytes:
        """As `fetch`, from a place that no caller has named, and with what only that may see."""
        answer = await self._hop(place, headers, expect, require)
        if isinstance(answer, bytes):
            return answer
        raise NotReady(f"{FIELD}: its host leads on, which it should not")

    async def _hop(
        self, place: ImageUri, headers: Mapping[str, str], expect: Expect, require: Require
    ) -> bytes | ImageUri:
        request = self._request(place, await self._address(place), headers)
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.has_redirect_location:
                    return _next_hop(place, response.headers["location"])
                await require(response)
                return await self._body(response, expect)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise NotReady(f"{FIELD}: its host cannot be reached, or broke off") from error

    async def _address(self, place: ImageUri) -> str:
        try:
            addresses = await self._resolve(place.host, place.port)
        except (OSError, UnicodeError) as error:
            raise InvalidRequest(FIELD, "its host has no address") from error
        if not addresses:
            raise InvalidRequest(FIELD, "its host has no address")
        if not self._rules.private_networks and not all(map(is_public, addresses)):
            raise InvalidRequest(FIELD, "its host is not on the open internet")
        return addresses[0]

    def _request(self, place: ImageUri, address: str, headers: Mapping[str, str]) -> httpx.Request:
        return self._client.build_request(
            "GET",
            httpx.URL(
                scheme=HTTPS,
                host=address,
                port=place.port,
                raw_path=place.target.encode("ascii"),
            ),
            headers={
                **headers,
                "Host": place.authority,
                "Accept": "image/*",
                "Accept-Encoding": "identity",
                "User-Agent": AGENT,
            },
            extensions={"sni_hostname": place.host},
        )

    async def _body(self, response: httpx.Response, expect: Expect) -> bytes:
        told = response.headers.get("content-length", "")
        if told.isdecimal():  # httpx lets no more come than that
            expect(int(told))
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._rules.max_bytes:
                break
        return bytes(body[: self._rules.max_bytes + 1])


def _next_hop(place: ImageUri, location: str) -> ImageUri:
    onward = image_uri_from(urljoin(f"{HTTPS}://{place.authority}{place.target}", location))
    if onward.scheme != HTTPS:
        raise InvalidRequest(FIELD, "leads on to something other than https")
    return onward


async def require_image(response: httpx.Response) -> None:
    """Raise InvalidRequest where there is nothing, NotReady where something is out of order."""
    if response.is_client_error:
        raise InvalidRequest(FIELD, f"its host answered {response.status_code}")
    if not response.is_success:
        raise NotReady(f"{FIELD}: its host answered {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidRequest(FIELD, "its host packs what it sends; the image itself is wanted")

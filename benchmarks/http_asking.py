"""Asks servers that are not ours, over HTTP, for what comes nearest to a decision."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

CONNECTIONS = 128

Ask = Callable[[bytes], Awaitable[str]]
"""Sends one image; the outcome, as a gRPC status code names it."""


@asynccontextmanager
async def http_asker(protocol: str, address: str, *, timeout_s: float) -> AsyncIterator[Ask]:
    """Connections to a server at host:port that are kept, and how to ask it."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    base_url = f"http://{address}"
    async with httpx.AsyncClient(base_url=base_url, timeout=timeout_s, limits=limits) as client:

        async def ask(image: bytes) -> str:
            try:
                response = await REQUESTS[protocol](client, image)
            except httpx.HTTPError as error:
                return type(error).__name__
            return "OK" if response.is_success else f"HTTP {response.status_code}"

        yield ask


async def _bytes_to_mosec(client: httpx.AsyncClient, image: bytes) -> httpx.Response:
    return await client.post("/inference", content=image)


async def _data_uri_to_infinity(client: httpx.AsyncClient, image: bytes) -> httpx.Response:
    uri = "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")
    body = {"model": "peer", "modality": "image", "input": [uri], "encoding_format": "base64"}
    return await client.post("/embeddings", json=body)


REQUESTS: dict[str, Callable[[httpx.AsyncClient, bytes], Awaitable[httpx.Response]]] = {
    "mosec": _bytes_to_mosec,
    "infinity": _data_uri_to_infinity,
}

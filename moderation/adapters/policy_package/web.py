"""A package at a URL, asked for again only if its signature has changed there."""

import logging
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

from moderation.adapters.policy_package.limits import MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX
from moderation.adapters.policy_package.refusal import refused

try:
    import httpx
except ImportError as missing:
    raise ImportError(
        "policy packages by URL need httpx: pip install 'moderation[packages]'"
    ) from missing

AGENT = "moderation-service"
NOT_MODIFIED = 304


class WebPackage:
    """A Carrier of a package that a web server has.

    No redirect is followed: whoever can lead elsewhere could name another server. Nothing of the
    process's environment counts. Raises ValueError for what is no URL.
    """

    is_remote = True

    def __init__(
        self,
        url: str,
        *,
        trusted: ssl.SSLContext,
        timeout_s: float,
        token_file: Path | None = None,
    ) -> None:
        parts = urlsplit(url)
        try:
            self._archive_url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from error
        self._signature_url = httpx.URL(parts._replace(path=parts.path + SIGNATURE_SUFFIX).geturl())
        self.shown = parts._replace(query="", fragment="").geturl()
        self._timeout_s = timeout_s
        self._token_file = token_file
        self._known: tuple[str, bytes] | None = None
        """What the server calls the signature that it sent last, and that signature."""
        # They would write the whole URL, with whatever secret is in it.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.Client(
            verify=trusted, trust_env=False, follow_redirects=False, timeout=timeout_s
        )

    def close(self) -> None:
        """Close whatever is open."""
        self._client.close()

    def signature(self) -> bytes:
        """See Carrier."""
        known = self._known or ("", b"")
        shown = self.shown + SIGNATURE_SUFFIX
        answer = self._get(self._signature_url, shown, MAX_SIGNATURE_BYTES, etag=known[0])
        self._known = answer or known
        return self._known[1]

    def archive(self, n_bytes: int) -> bytes:
        """See Carrier."""
        answer = self._get(self._archive_url, self.shown, most=n_bytes)
        assert answer is not None  # without an ETag there is always a body
        return answer[1]

    def _get(
        self, url: httpx.URL, shown: str, most: int, *, etag: str = ""
    ) -> tuple[str, bytes] | None:
        """The ETag and the body; None if that has not changed. Raises PolicySetRejected."""
        until = time.monotonic() + self._timeout_s
        body = bytearray()
        try:
            with self._client.stream("GET", url, headers=self._headers(etag)) as response:
                if etag and response.status_code == NOT_MODIFIED:
                    return None
                if response.status_code != httpx.codes.OK:
                    raise refused(shown, _told(response))
                # As it is stored: some servers call a .gz file a packed answer.
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > most:
                        raise refused(shown, f"is larger than the {most} bytes that it may have")
                    if time.monotonic() > until:
                        raise refused(shown, f"has not arrived within {self._timeout_s:g} s")
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise refused(shown, f"cannot be fetched: {reason}") from error
        return response.headers.get("etag", ""), bytes(body)

    def _headers(self, etag: str) -> dict[str, str]:
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        if etag:
            headers["If-None-Match"] = etag
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {_token(self._token_file)}"
        return headers


def _told(response: httpx.Response) -> str:
    if response.is_redirect:
        return (
            f"answers with status {response.status_code}; no redirect is followed, name the place"
        )
    return f"answers with status {response.status_code}"


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not ASCII"
        raise refused(str(path), f"cannot be read as a token: {reason}") from error
    if not token.isprintable() or " " in token or not token:
        raise refused(str(path), "holds no token: one word is wanted")
    return token

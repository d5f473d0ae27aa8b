"""Tokens for Google Cloud Storage, by google-auth, for a service account with a key file."""

import json
import logging
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from moderation.core.errors import NotReady
from moderation.core.image_uri import FIELD, HTTPS, ImageUri

SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
MISSING = "the service gets no token for its bucket"


def service_account(path: Path) -> Credentials:
    """Who asks, by its key file; raises ValueError with what is wrong, or OSError."""
    try:
        written = json.loads(path.read_bytes())
        found: Credentials = Credentials.from_service_account_info(written, scopes=[SCOPE])
    except (ValueError, AttributeError, TypeError, GoogleAuthError):
        # Not from what google-auth or the parser say: that may quote the key.
        raise ValueError("is no key file of a service account") from None
    if urlsplit(str(written["token_uri"])).scheme != HTTPS:
        raise ValueError("its token_uri must be https")
    return found


class GsSigner:
    """A Signer with a token that is asked for where the key file says, as it expires."""

    def __init__(self, credentials: Credentials, *, ca_file: str, timeout_s: float) -> None:
        for name in ("google.auth", "google.oauth2", "urllib3"):  # nothing of tokens in the log
            logging.getLogger(name).setLevel(logging.WARNING)
        session = requests.Session()
        session.trust_env = False
        session.verify = ca_file or True
        self._credentials = credentials
        self._ask = partial(Request(session), timeout=timeout_s)
        self._lock = threading.Lock()

    def headers(self, place: ImageUri) -> Mapping[str, str]:
        """See Signer."""
        try:
            with self._lock:  # whoever comes meanwhile has the same token
                if not self._credentials.valid:
                    self._credentials.refresh(self._ask)
        except GoogleAuthError as error:
            raise NotReady(f"{FIELD}: {MISSING}") from error
        return {"Authorization": f"Bearer {self._credentials.token}"}

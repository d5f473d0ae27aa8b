"""Whom to trust when something is fetched over HTTPS."""

import ssl


def trusting(ca_file: str) -> ssl.SSLContext:
    """Trusts these authorities alone, or the usual ones if none are named.

    Raises OSError, or ImportError for the usual ones without httpx, which brings them.
    """
    if ca_file:
        return ssl.create_default_context(cafile=ca_file)
    import httpx  # noqa: PLC0415 - an extra

    return httpx.create_ssl_context(trust_env=False)

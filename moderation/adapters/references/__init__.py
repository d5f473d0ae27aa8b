"""Fetches images that a request names: over HTTPS from allowed hosts, or from allowed folders."""

from moderation.adapters.references.fetcher import ReferenceFetcher
from moderation.adapters.references.files import FileReader
from moderation.adapters.references.web import WebFetcher, WebRules

__all__ = ["FileReader", "ReferenceFetcher", "WebFetcher", "WebRules"]

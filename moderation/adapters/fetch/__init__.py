"""Fetches images that a request names: over HTTPS from allowed hosts, or from allowed folders."""

from moderation.adapters.fetch.fetcher import UriFetcher
from moderation.adapters.fetch.files import FileReader
from moderation.adapters.fetch.web import WebFetcher, WebRules

__all__ = ["FileReader", "UriFetcher", "WebFetcher", "WebRules"]

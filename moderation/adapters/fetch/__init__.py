"""Fetches images that a request names: from allowed hosts, object stores and folders."""

from moderation.adapters.fetch.fetcher import UriFetcher
from moderation.adapters.fetch.files import FileReader
from moderation.adapters.fetch.stores import Anonymous, Signer, StoreFetcher, bucket_place
from moderation.adapters.fetch.web import WebFetcher, WebRules

__all__ = [
    "Anonymous",
    "FileReader",
    "Signer",
    "StoreFetcher",
    "UriFetcher",
    "WebFetcher",
    "WebRules",
    "bucket_place",
]

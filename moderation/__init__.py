"""Decides whether an image may be published, by phrases that people write in YAML."""

__version__ = "0.1.0"

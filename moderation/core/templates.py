"""Sentences into which phrases are put, by name.

A phrase is embedded under each of them, and the results are averaged. Phrases
bring their own article ("a gun"), so that the sentences have none.
"""

from collections.abc import Mapping
from types import MappingProxyType

DEFAULT_TEMPLATES = ("a photo of {}.", "a picture of {}.", "{}")

TEMPLATE_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "default": DEFAULT_TEMPLATES,
        "none": ("{}",),
        "photo": (
            "a photo of {}.",
            "a close-up photo of {}.",
            "a blurry photo of {}.",
            "a dark photo of {}.",
            "a photo of {} from afar.",
        ),
        "art": (
            "a drawing of {}.",
            "a painting of {}.",
            "a cartoon of {}.",
            "a computer-generated picture of {}.",
        ),
        "screen": ("a screenshot of {}.", "{} on a screen."),
        "broad": (
            "a photo of {}.",
            "a close-up photo of {}.",
            "a bad photo of {}.",
            "a drawing of {}.",
            "a screenshot of {}.",
            "{} in the background.",
            "{}",
        ),
    }
)

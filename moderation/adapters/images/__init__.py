"""Turns hostile bytes into the pixels that an encoder wants.

Three steps, each in modules of its own: a survey reads what the file says of
itself without decoding anything (`formats`, and a module a format), the limits
refuse what would cost too much (`limits`), and only then does Pillow decode, in
one of four formats (`decoder`, `square`).
"""

from moderation.adapters.images.decoder import PillowDecoder
from moderation.adapters.images.limits import DecodeLimits

__all__ = ["DecodeLimits", "PillowDecoder"]

"""What a text looks like to a person: its language, its negations, and marks at its ends."""

import re
import unicodedata

FOREIGN_SHARE = 0.3
"""Of a text's letters; a name or a word in another script is let pass."""
FOREIGN_WORDS = frozenset(
    {"der", "das", "dem", "den", "ein", "eine", "einem", "einen", "einer"}
    | {"und", "mit", "auf", "für", "kein", "keine"}
    | {"une", "avec", "dans", "una", "uno"}
)
"""Words that phrases in German, French, Italian and Spanish can hardly do without."""
ENGLISH_WORDS = frozenset(
    {"a", "an", "the", "of", "in", "on", "at", "with", "and", "or", "from", "to", "for"}
)
NEGATIONS = frozenset({"no", "not", "without", "never", "neither", "nor", "except"})
ODD_ENDS = ',;\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\
\N{DOUBLE LOW-9 QUOTATION MARK}\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}\
\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"'
"""What stands between texts elsewhere, or around them; here it would be part of the text."""
_WORD = re.compile(r"[^\W\d_]+")


def is_foreign(text: str) -> bool:
    """Whether a text is surely not English: by its script, or by small words without English ones.

    Languages are not recognised beyond that: `Kaffeetasse` passes for English.
    """
    if _foreign_share(text) > FOREIGN_SHARE:
        return True
    words = frozenset(_WORD.findall(text.casefold()))
    return not words.isdisjoint(FOREIGN_WORDS) and words.isdisjoint(ENGLISH_WORDS)


def negation_in(text: str) -> str:
    """The first word that denies something, or nothing."""
    return next((word for word in _WORD.findall(text.casefold()) if word in NEGATIONS), "")


def odd_end_of(text: str) -> str:
    """The mark at either end that is hardly part of the text, or nothing."""
    ends = (text[-1:], text[:1])
    return next((end for end in ends if end and end in ODD_ENDS), "")


def _foreign_share(text: str) -> float:
    if text.isascii():
        return 0.0
    letters = [one for one in text if one.isalpha()]
    foreign = [one for one in letters if not unicodedata.name(one, "").startswith("LATIN")]
    return len(foreign) / len(letters) if letters else 0.0

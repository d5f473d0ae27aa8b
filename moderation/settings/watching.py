"""What the service watches of its own answers."""

from pydantic import Field

from moderation.settings.section import Count, Seconds, Section


class DriftSettings(Section):
    """Whether policies score as they did when their references were made."""

    window_s: Seconds = Field(
        86400.0, description="How far back scores are compared, in steps of a 24th of it."
    )
    min_scores: Count = Field(
        500, description="Fewest contents that a reference, or a comparison, is made of."
    )

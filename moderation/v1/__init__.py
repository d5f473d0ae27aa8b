"""Generated from protos/moderation/v1; never edited."""

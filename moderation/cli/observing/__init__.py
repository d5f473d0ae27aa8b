"""What `moderation top` shows: a metrics page, what happened since the last, a screen of it."""

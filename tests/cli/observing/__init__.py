"""What `moderation top` makes of metrics."""

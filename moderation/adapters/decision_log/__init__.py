"""A log of decisions in files: chained and checksummed lines, of which some can be erased."""

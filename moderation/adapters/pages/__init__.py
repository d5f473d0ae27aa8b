"""Reports as single HTML files: plots by altair, and nothing that a browser has to fetch."""
